package relay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// maxDedupIDs bounds how many dedup ids of removed messages are remembered, at some 60
// bytes each. Beyond, the oldest are forgotten.
const maxDedupIDs = 1_000_000

// dedupKey stands for the dedup id of a queue's stream.
type dedupKey [16]byte

func dedupKeyOf(stream, id string) dedupKey {
	hash := sha256.Sum256([]byte(stream + " " + id))
	return dedupKey(hash[:16])
}

// dedupJournal remembers the dedup ids of messages that were removed from their queue.
// JetStream knows those that it took since it started, and when it starts those of the
// messages that are still there. So before a message is removed its id is written to a
// stream, which all nodes read when they start and hear of while they run.
type dedupJournal struct {
	link     *link
	acks     *acks
	window   time.Duration
	replicas int
	copies   *copies

	mu      sync.Mutex // guards the following
	expiry  map[dedupKey]int64
	order   []dedupKey // as they came
	made    bool       // the stream is known to be there
	missed  int        // counts up when some that other nodes wrote may not have come
	loaded  int        // what missed was when all that they wrote before was last read
	since   time.Time  // when that was
	loading *dedupLoad // nil while none is read
}

// dedupLoad is one reading of the stream, which all wait for that need it.
type dedupLoad struct {
	done chan struct{} // closed at its end
	err  error         // once done is closed
}

func newDedupJournal(l *link, a *acks, settings QueueSettings) *dedupJournal {
	return &dedupJournal{link: l, acks: a, window: settings.DedupWindow, replicas: settings.Replicas, expiry: make(map[dedupKey]int64), missed: 1}
}

func (j *dedupJournal) stream() string { return streamBase(j.link.prefix) + "_dedup" }

func (j *dedupJournal) subject() string { return j.link.prefix + ".dedup" }

// begin subscribes to what other nodes write.
func (j *dedupJournal) begin() error {
	_, err := j.link.conn.Subscribe(j.subject(), j.read)
	return err
}

// reload has what other nodes wrote read again, since some of it may have been missed.
func (j *dedupJournal) reload() {
	j.mu.Lock()
	j.missed++
	j.mu.Unlock()
}

// ensure makes the stream where it is missing, and returns once all is known that was
// written to it. Until then no message with a dedup id is stored: its id may be there. What
// is much goes on being read after the caller has given up, for the next one.
func (j *dedupJournal) ensure(ctx context.Context) error {
	for {
		load := j.unread()
		if load == nil {
			return nil
		}
		select {
		case <-load.done:
			if load.err != nil {
				return load.err
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: the dedup ids of removed messages are still being read", driver.ErrUnavailable)
		}
	}
}

// unread returns the reading that has to end first, which it begins where there is none, or
// nil where all is known.
func (j *dedupJournal) unread() *dedupLoad {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.loading != nil || j.loaded == j.missed {
		return j.loading
	}
	load := &dedupLoad{done: make(chan struct{})}
	if load.err = j.link.checkAsk(); load.err != nil {
		close(load.done)
		return load
	}
	missed, since, now := j.missed, j.since, time.Now()
	j.loading = load
	j.link.background.Go(func() {
		load.err = j.load(j.link.ctx, since)
		j.mu.Lock()
		if j.loading = nil; load.err == nil {
			j.loaded, j.since = missed, now
		}
		j.mu.Unlock()
		close(load.done)
	})
	return load
}

func (j *dedupJournal) load(ctx context.Context, since time.Time) error {
	if err := j.makeStream(ctx); err != nil {
		return err
	}
	info, err := j.link.lookAt(ctx, j.stream())
	if err != nil {
		return storeError("cannot look at "+j.stream(), err)
	}
	from := time.Now().Add(-j.window)
	if since = since.Add(-clocksDiffer); since.After(from) {
		from = since
	}
	cursor := &historyCursor{link: j.link, stream: j.stream(), subject: j.subject(), since: &from, upTo: info.State.LastSeq}
	return merge(ctx, []*historyCursor{cursor}, func(m *storedMessage) error {
		j.read(m.msg)
		return nil
	})
}

func (j *dedupJournal) makeStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	there, _ := j.link.js.Stream(ctx, j.stream())
	_, err := ensureStream(ctx, j.link.js, j.copies, there, jetstream.StreamConfig{
		Name: j.stream(), Subjects: []string{j.subject()}, Description: "stompbox: dedup ids of messages that were removed from their queues",
		MaxAge: j.window, Duplicates: min(j.window, 2*time.Minute), MaxMsgs: maxDedupIDs, MaxBytes: -1, MaxConsumers: -1, Discard: jetstream.DiscardOld, Replicas: j.replicas, AllowDirect: true,
	})
	if err != nil {
		return storeError("cannot make the stream "+j.stream(), err)
	}
	j.setMade()
	return nil
}

func (j *dedupJournal) setMade() {
	j.mu.Lock()
	j.made = true
	j.mu.Unlock()
}

// read takes what a node wrote.
func (j *dedupJournal) read(msg *nats.Msg) {
	record := msg.Data
	if j.link.tooNew(msg.Header, msg.Subject) || len(record) != len(dedupKey{})+8 {
		return
	}
	key := dedupKey(record[:len(dedupKey{})])
	j.remember(key, int64(binary.BigEndian.Uint64(record[len(key):])))
}

func (j *dedupJournal) remember(key dedupKey, until int64) {
	now := time.Now().UnixMilli()
	until = min(until, now+j.window.Milliseconds())
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.order) > 0 && (j.expiry[j.order[0]] <= now || len(j.order) >= maxDedupIDs) {
		delete(j.expiry, j.order[0])
		j.order = j.order[1:]
	}
	if _, ok := j.expiry[key]; !ok && until > now {
		j.order = append(j.order, key)
		j.expiry[key] = until
	}
}

// removed reports whether a message with an id was stored within the window, and
// removed.
func (j *dedupJournal) removed(stream, id string) bool {
	key := dedupKeyOf(stream, id)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.expiry[key] > time.Now().UnixMilli()
}

// write notes the id of a message that is about to be removed, and calls done once it is
// safe.
func (j *dedupJournal) write(stream, id string, stored time.Time, done func(error)) {
	until := stored.Add(j.window)
	if !time.Now().Before(until) {
		done(nil)
		return
	}
	key := dedupKeyOf(stream, id)
	j.remember(key, until.UnixMilli())
	record := binary.BigEndian.AppendUint64(key[:], uint64(until.UnixMilli()))
	j.acks.publish(j.stream(), versioned(j.subject(), record), func(err error) {
		if errors.Is(err, errNoStream) {
			j.link.background.Go(func() { done(j.whyNoStream(err)) })
			return
		}
		done(err)
	})
}

// whyNoStream returns err where the stream is there and has no leader at the moment, and nil
// where there is none: no message came with a dedup id since this version stores them.
func (j *dedupJournal) whyNoStream(err error) error {
	j.mu.Lock()
	made := j.made
	j.mu.Unlock()
	if made || j.link.checkAsk() != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(j.link.ctx, setupTimeout)
	defer cancel()
	_, look := j.link.js.Stream(ctx, j.stream())
	if errors.Is(look, jetstream.ErrStreamNotFound) {
		return nil
	}
	if look == nil {
		j.setMade()
	}
	return err
}
