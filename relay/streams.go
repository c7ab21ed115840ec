package relay

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// QueueSettings are how JetStream keeps queues.
type QueueSettings struct {
	// Replicas is on how many servers of a cluster each message is. Default 1.
	Replicas int
	// AckWait is after how long the messages of a node that died go to others.
	// Default 30 s.
	AckWait time.Duration
	// DedupWindow is how long dedup ids are remembered. Default 2 minutes.
	DedupWindow time.Duration
}

func (q *QueueSettings) setDefaults() {
	if q.Replicas == 0 {
		q.Replicas = 1
	}
	if q.AckWait == 0 {
		q.AckWait = 30 * time.Second
	}
	if q.DedupWindow == 0 {
		q.DedupWindow = 2 * time.Minute
	}
}

// mostConsumers is how many queues of a stream can be consumed at a time. A
// stream that does not say gets the server's default of 1000.
const mostConsumers = 1_000_000

// place says in which stream a queue is, and under which subject.
//
// Queues without limits of their own share one stream, so that a thousand idle
// ones cost their messages on disk and nothing else. JetStream bounds streams
// rather than subjects, so a queue with limits has a stream for itself. Messages
// that are to be in memory only share another stream.
type place struct {
	stream  string
	subject string
	prefix  string // what Destination cuts off the subject
}

func (r *Relay) place(queue string, o driver.QueueOptions) place {
	base := strings.ReplaceAll(r.prefix, ".", "_")
	switch {
	case o.Memory:
		prefix := r.prefix + ".memory"
		return place{base + "_queues_memory", Subject(prefix, queue), prefix}
	case o.MaxMessages > 0 || o.MaxBytes > 0:
		prefix := r.prefix + ".bounded"
		return place{base + "_queue_" + safeName(queue), Subject(prefix, queue), prefix}
	}
	return place{base + "_queues", Subject(r.prefix, queue), r.prefix}
}

// safeName names a queue in a way that JetStream allows: readable at its
// beginning, and unique by a hash.
func safeName(queue string) string {
	hash := sha256.Sum256([]byte(queue))
	readable := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, strings.TrimPrefix(queue, "/queue/"))
	return readable[:min(len(readable), 40)] + "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash[:10]))
}

// streams remembers which streams are known to be there, with their limits.
type streams struct {
	mu    sync.Mutex
	known map[string]*knownStream
}

type knownStream struct {
	mu      sync.Mutex
	ready   bool
	options driver.QueueOptions
}

// forget has all streams looked for again, after the server was away.
func (s *streams) forget() {
	s.mu.Lock()
	clear(s.known)
	s.mu.Unlock()
}

// ensure makes the stream of a place when this node does not know that it is
// there. It talks to the server only then.
func (r *Relay) ensure(ctx context.Context, p place, o driver.QueueOptions) error {
	r.streams.mu.Lock()
	one := r.streams.known[p.stream]
	if one == nil {
		one = new(knownStream)
		r.streams.known[p.stream] = one
	}
	r.streams.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.ready && one.options == o {
		return nil
	}
	if err := r.checkAway(); err != nil {
		return err
	}
	config := jetstream.StreamConfig{
		Name: p.stream, Subjects: []string{p.subject}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
		Storage: jetstream.FileStorage, Replicas: r.queues.Replicas, Duplicates: r.queues.DedupWindow,
		MaxConsumers: mostConsumers, MaxMsgs: -1, MaxBytes: -1, AllowMsgTTL: true, AllowAtomicPublish: true,
	}
	switch {
	case o.Memory:
		config.Storage, config.Subjects = jetstream.MemoryStorage, []string{r.prefix + ".memory.queue.>"}
		config.Description = "stompbox: queue messages that are in memory only"
	case o.MaxMessages > 0 || o.MaxBytes > 0:
		config.Description = "stompbox: one queue with limits of its own"
		if o.MaxMessages > 0 {
			config.MaxMsgs = o.MaxMessages
		}
		if o.MaxBytes > 0 {
			config.MaxBytes = o.MaxBytes
		}
	default:
		config.Subjects = []string{r.prefix + ".queue.>"}
		config.Description = "stompbox: all queues without limits of their own"
	}
	if _, err := r.js.CreateOrUpdateStream(ctx, config); err != nil {
		return storeError("cannot make the stream "+p.stream, err)
	}
	one.ready, one.options = true, o
	if o.Memory {
		r.announceMemory()
	}
	return nil
}

// storeError makes an error of the client library one that the broker knows.
func storeError(what string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("relay: %s: %w", what, &apiError{Code: api.Code, ErrCode: int(api.ErrorCode), Description: api.Description})
	}
	return fmt.Errorf("relay: %s: %w (%w)", what, driver.ErrUnavailable, err)
}
