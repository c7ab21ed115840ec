package relay

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// QueueSettings say how JetStream keeps queues.
type QueueSettings struct {
	// Replicas is on how many servers of a cluster each message is. Default 1.
	Replicas int
	// AckWait is the time after which the messages of a dead node go to others. Default 30 s.
	AckWait time.Duration
	// DedupWindow is how long dedup ids are remembered. Default 2 minutes.
	DedupWindow time.Duration
	// Transient reports whether a queue is transient, so that no consumer gets what the store
	// has of it. The log says at the start if there is such. Default none.
	Transient func(queue string) bool
}

// WithDefaults returns q with the defaults in place of zeros.
func (q QueueSettings) WithDefaults() QueueSettings {
	q.Replicas = cmp.Or(q.Replicas, 1)
	q.AckWait = cmp.Or(q.AckWait, 30*time.Second)
	q.DedupWindow = cmp.Or(q.DedupWindow, 2*time.Minute)
	return q
}

// maxConsumers is how many queues of a stream can be consumed at a time. A
// stream that does not say gets the server's default of 1000.
const maxConsumers = 1_000_000

// place says in which stream a queue is, and under which subject.
//
// Queues without limits of their own share stream stream, so that a thousand idle
// ones cost their messages on disk and nothing else. JetStream bounds streams
// rather than subjects, so a queue with limits has a stream for itself. Messages
// that are to be in memory only share another stream.
type place struct {
	stream  string
	subject string
	prefix  string // what Destination cuts off the subject
}

// memoryPrefix begins the subjects of what queues have in memory, and boundedPrefix those of queues
// with limits of their own.
func memoryPrefix(prefix string) string  { return prefix + ".memory" }
func boundedPrefix(prefix string) string { return prefix + ".bounded" }

// queuePrefixes begin the subjects of all queues.
func queuePrefixes(prefix string) []string {
	return []string{prefix, memoryPrefix(prefix), boundedPrefix(prefix)}
}

func queuePlace(prefix, queue string, o driver.QueueOptions) place {
	base := streamBase(prefix)
	switch {
	case o.Memory:
		prefix = memoryPrefix(prefix)
		return place{base + "_queues_memory", Subject(prefix, queue), prefix}
	case o.MaxMessages > 0 || o.MaxBytes > 0:
		prefix = boundedPrefix(prefix)
		return place{base + "_queue_" + safeName(queue), Subject(prefix, queue), prefix}
	}
	return place{base + "_queues", Subject(prefix, queue), prefix}
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

// queueStreams make the streams of queues, and remember which are known to be there,
// with their limits.
type queueStreams struct {
	link     *link
	memory   *memoryQueues
	settings QueueSettings
	// confirmed notes up to where messages were confirmed, for the next start.
	confirmed *confirmedPlaces
	elections *elections
	copies    *copies

	mu    sync.Mutex // guards the following
	known map[string]*knownStream
}

type knownStream struct {
	mu       sync.Mutex // held while the stream is made; guards the following
	ready    bool
	options  driver.QueueOptions
	restored int64 // when it was restored, in nanoseconds since 1970, or 0
}

// confirmedQueues is the file that has up to where queues were confirmed. No policy of a
// history is called so.
const confirmedQueues = "queues@"

// forget has all streams looked for again, after the server was away.
func (s *queueStreams) forget() {
	s.mu.Lock()
	clear(s.known)
	s.mu.Unlock()
}

// ensure makes the stream of a place when this node does not know that it is
// there. It talks to the server only then.
func (s *queueStreams) ensure(ctx context.Context, p place, o driver.QueueOptions) error {
	s.mu.Lock()
	stream := s.known[p.stream]
	if stream == nil {
		stream = new(knownStream)
		s.known[p.stream] = stream
	}
	s.mu.Unlock()
	stream.mu.Lock()
	defer stream.mu.Unlock()
	if stream.ready && stream.options == o {
		return nil
	}
	if err := s.link.checkAsk(); err != nil {
		return err
	}
	config := jetstream.StreamConfig{
		Name: p.stream, Subjects: []string{p.subject}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
		Storage: jetstream.FileStorage, Replicas: s.settings.Replicas, Duplicates: s.settings.DedupWindow,
		MaxConsumers: maxConsumers, MaxMsgs: -1, MaxBytes: -1, AllowMsgTTL: true, AllowAtomicPublish: true,
	}
	switch {
	case o.Memory:
		config.Storage, config.Subjects = jetstream.MemoryStorage, []string{s.link.prefix + ".memory.queue.>"}
		config.Description = "stompbox: queue messages that are in memory only"
	case o.MaxMessages > 0 || o.MaxBytes > 0:
		config.Description = "stompbox: stream queue with limits of its own"
		if o.MaxMessages > 0 {
			config.MaxMsgs = o.MaxMessages
		}
		if o.MaxBytes > 0 {
			config.MaxBytes = o.MaxBytes
		}
	default:
		config.Subjects = []string{s.link.prefix + ".queue.>"}
		config.Description = "stompbox: all queues without limits of their own"
	}
	asked := time.Now()
	there, err := s.link.js.Stream(ctx, p.stream)
	if err == nil {
		if err := checkFormat(p.stream, there.CachedInfo().Config.Metadata); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		config.Metadata = keepRestored(nil, there.CachedInfo().Config.Metadata)
	}
	config.Metadata = withFormat(config.Metadata)
	made, err := ensureStream(ctx, s.link.js, s.copies, there, config)
	if err != nil {
		return storeError("cannot make the stream "+p.stream, err)
	}
	if config.MaxMsgs < 0 && config.MaxBytes < 0 && !o.Memory && checkLed(made.CachedInfo(), asked) == nil { // a file for each queue with limits would be many
		s.confirmed.beginAgain(confirmedQueues, p.stream, made.CachedInfo().State.LastSeq)
	}
	s.elections.know(p.stream, made.CachedInfo())
	stream.ready, stream.options, stream.restored = true, o, restoredAt(config.Metadata)
	if o.Memory {
		s.memory.announce()
	}
	return nil
}

// ensureStream makes a stream, or changes what is there, which is nil where that is not known.
// One that is as it should be needs nothing of the leader of all streams, who may be away.
func ensureStream(ctx context.Context, js jetstream.JetStream, c *copies, there jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	if there != nil && sameStream(there.CachedInfo().Config, want) {
		return there, nil
	}
	made, err := createRetrying(ctx, func() (jetstream.Stream, error) { return js.CreateOrUpdateStream(ctx, want) })
	if err == nil && there != nil {
		c.grown(want.Name, there.CachedInfo().Config.Replicas, want.Replicas)
	}
	return made, err
}

// sameStream reports whether a stream is as it should be.
func sameStream(have, want jetstream.StreamConfig) bool {
	for key, value := range want.Metadata {
		if have.Metadata[key] != value {
			return false
		}
	}
	return slices.Equal(have.Subjects, want.Subjects) && have.Description == want.Description &&
		have.Retention == want.Retention && have.Discard == want.Discard && have.Storage == want.Storage && have.Replicas == want.Replicas &&
		have.Duplicates == want.Duplicates && have.MaxAge == want.MaxAge && have.MaxConsumers == want.MaxConsumers &&
		have.MaxMsgs == want.MaxMsgs && have.MaxBytes == want.MaxBytes &&
		have.AllowMsgTTL == want.AllowMsgTTL && have.AllowAtomicPublish == want.AllowAtomicPublish && have.AllowDirect == want.AllowDirect
}

// restored returns when a stream that is known was restored, in nanoseconds since 1970, or 0.
func (s *queueStreams) restored(p place) int64 {
	s.mu.Lock()
	stream := s.known[p.stream]
	s.mu.Unlock()
	if stream == nil {
		return 0
	}
	stream.mu.Lock()
	defer stream.mu.Unlock()
	return stream.restored
}

// names returns the streams that queues are in.
func (s *queueStreams) names(ctx context.Context) (all []string, err error) {
	for _, prefix := range queuePrefixes(s.link.prefix) {
		names, err := s.link.queueStreams(ctx, prefix)
		if err != nil {
			return nil, storeError("cannot list queues", err)
		}
		all = append(all, names...)
	}
	return all, nil
}

// queueStreams returns the streams of queues whose subjects begin with a prefix.
func (l *link) queueStreams(ctx context.Context, prefix string) ([]string, error) {
	names := l.js.StreamNames(ctx, jetstream.WithStreamListSubject(prefix+".queue.>"))
	all := drain(names.Name())
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, err
	}
	return all, nil
}

// drain returns all that a list of the client library sends. The library sends from a
// goroutine, which waits forever where a loop over its channel ends early.
func drain[T any](from <-chan T) (all []T) {
	for v := range from {
		all = append(all, v)
	}
	return all
}

// storeError makes an error of the client library stream that the broker knows.
func storeError(what string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("relay: %s: %w", what, &apiError{Code: api.Code, ErrCode: int(api.ErrorCode), Description: api.Description})
	}
	return fmt.Errorf("relay: %s: %w (%w)", what, driver.ErrUnavailable, err)
}
