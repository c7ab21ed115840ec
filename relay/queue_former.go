package relay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// maxFormerLooks is how many queues are looked at in one sweep for messages in their other
	// place.
	maxFormerLooks = 200
	// formerLookTimeout bounds how long a SUBSCRIBE waits for a look at the other place.
	formerLookTimeout = 2 * time.Second
)

// formerQueues is a [driver.FormerQueues]. A queue with limits has another place than one
// without; so messages that were stored before limits were added or removed are in the place
// where the queue was. A consumer of JetStream costs some 60 KB, so a reader of the other
// place has one only once there are messages. What was found out is remembered until the next
// sweep, so that a SUBSCRIBE does not ask again.
type formerQueues struct {
	store *queueStore
	lists *joinedCalls[struct{}] // of the streams of queues with limits

	mu     sync.Mutex // guards the following
	listed bool       // it was tried to list them on this connection
	// bounded are the streams of queues with limits.
	bounded map[string]struct{}
	// looked is when no messages were found in a stream, by its name, or of a queue in it, by its
	// subject.
	looked map[string]time.Time
	// warned are the queues that the log has a line about.
	warned map[string]struct{}
}

func newFormerQueues(s *queueStore) *formerQueues {
	return &formerQueues{store: s, lists: newJoinedCalls[struct{}](), looked: make(map[string]time.Time), warned: make(map[string]struct{})}
}

// formerPlace is where a queue was if limits were added to it, or removed.
func formerPlace(prefix, queue string, o driver.QueueOptions) place {
	if o.MaxMessages > 0 || o.MaxBytes > 0 {
		return queuePlace(prefix, queue, driver.QueueOptions{})
	}
	return queuePlace(prefix, queue, driver.QueueOptions{MaxMessages: 1})
}

// OpenFormer begins to consume what a queue has in its other place. It does not fail where that
// cannot be looked at now: the sweep does so later. See [driver.FormerQueues].
func (f *formerQueues) OpenFormer(ctx context.Context, queue string, o driver.QueueOptions, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	if err := checkKey(queue); err != nil {
		return nil, err
	}
	s := &formerSource{queueSource: queueSource{store: f.store, place: formerPlace(f.store.link.prefix, queue, o), queue: queue, options: o}}
	err := f.lookSoon(ctx, s)
	reader, openErr := f.store.readers.openReader(ctx, s, deliver)
	if openErr != nil && s.found.Swap(false) {
		err = openErr
		reader, openErr = f.store.readers.openReader(ctx, s, deliver)
	}
	if err != nil {
		f.store.link.log.Debug("the other place of a queue could not be looked at; it is tried again", "destination", queue, "error", err)
	}
	return reader, openErr
}

// lookSoon finds out whether a place has messages of its queue, as far as that is not known since
// the last sweep. It does not keep a SUBSCRIBE waiting for long.
func (f *formerQueues) lookSoon(ctx context.Context, s *formerSource) error {
	ctx, cancel := context.WithTimeout(ctx, formerLookTimeout)
	defer cancel()
	if err := f.listOnce(ctx); err != nil {
		return err
	}
	return f.look(ctx, s, time.Now().Add(-sweepEvery))
}

// forget has everything looked for again, after the server was away or a backup was restored.
func (f *formerQueues) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed, f.bounded = false, nil
	clear(f.looked)
}

// listOnce lists the streams of queues with limits, once for a connection. Where that fails
// the sweep does it.
func (f *formerQueues) listOnce(ctx context.Context) error {
	listed := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.listed
	}
	if listed() {
		return nil
	}
	_, err := f.lists.do(ctx, func(ctx context.Context) (struct{}, error) {
		if listed() {
			return struct{}{}, nil
		}
		err := f.list(ctx)
		f.mu.Lock()
		f.listed = true
		f.mu.Unlock()
		return struct{}{}, err
	})
	return err
}

func (f *formerQueues) list(ctx context.Context) error {
	l := f.store.link
	if err := l.checkAsk(); err != nil {
		return err
	}
	names, err := l.queueStreams(ctx, boundedPrefix(l.prefix))
	if err != nil {
		return storeError("cannot list queues", err)
	}
	bounded := make(map[string]struct{}, len(names))
	for _, name := range names {
		bounded[name] = struct{}{}
	}
	f.mu.Lock()
	f.bounded = bounded
	f.mu.Unlock()
	return nil
}

// look finds out whether a place has messages of its queue. It does not ask where that was done
// since a time.
func (f *formerQueues) look(ctx context.Context, s *formerSource, since time.Time) error {
	l := f.store.link
	if f.isKnown(s.place, since) {
		return nil
	}
	if err := l.checkAsk(); err != nil {
		return err
	}
	asked := time.Now()
	info, err := askLeader(ctx, l, s.place.stream, s.place.subject)
	var api *apiError
	switch {
	case errors.As(err, &api) && api.Code == http.StatusNotFound:
		f.note(s.place.stream, asked)
		return nil
	case err != nil:
		f.note(s.place.stream, asked) // no other SUBSCRIBE waits for it; the sweep asks again
		return err
	case info.State.Msgs == 0:
		f.note(s.place.stream, asked)
	case info.State.Subjects[s.place.subject] == 0:
		f.note(s.place.subject, asked)
	default:
		f.mu.Lock()
		delete(f.looked, s.place.stream)
		delete(f.looked, s.place.subject)
		f.mu.Unlock()
		f.warn(s.queue, info.State.Subjects[s.place.subject])
		s.found.Store(true)
	}
	return nil
}

// isKnown reports whether it was found out since a time that a queue has no messages in a place.
func (f *formerQueues) isKnown(p place, since time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.prefix == boundedPrefix(f.store.link.prefix) {
		if _, there := f.bounded[p.stream]; !there {
			return true
		}
	}
	return f.looked[p.stream].After(since) || f.looked[p.subject].After(since)
}

// note remembers that no messages were found at a time.
func (f *formerQueues) note(what string, at time.Time) {
	f.mu.Lock()
	f.looked[what] = at
	f.mu.Unlock()
}

// warn logs once that a queue has messages in its other place.
func (f *formerQueues) warn(queue string, messages uint64) {
	f.mu.Lock()
	_, warned := f.warned[queue]
	f.warned[queue] = struct{}{}
	f.mu.Unlock()
	if !warned {
		f.store.link.log.Warn("messages of a queue are where it was before max_messages or max_bytes was added or removed; they are delivered too, in no order with newer ones, and their dedup ids are not compared with those of new messages",
			"destination", queue, "messages", messages)
	}
}

// sweep looks at the other places of the queues that are open: a node with other settings may
// store messages there. One that cannot be looked at keeps no other waiting.
func (f *formerQueues) sweep(ctx context.Context, now time.Time) error {
	if err := f.list(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	maps.DeleteFunc(f.looked, func(_ string, at time.Time) bool { return now.Sub(at) > sweepEvery })
	f.mu.Unlock()
	var failed error
	looks := 0
	for _, q := range f.store.readers.all() { // in random order
		s, ok := q.source.(*formerSource)
		if !ok || s.found.Load() || f.isKnown(s.place, now) {
			continue
		}
		if looks++; looks > maxFormerLooks || ctx.Err() != nil {
			break
		}
		failed = errors.Join(failed, f.look(ctx, s, now))
	}
	return failed
}

// formerSource has a reader read the other place of a queue. It makes no stream.
type formerSource struct {
	queueSource
	found      atomic.Bool // there are messages, or were
	restoredAt atomic.Int64
}

func (s *formerSource) idle() bool { return !s.found.Load() }

func (s *formerSource) ensure(ctx context.Context) (stream string, consumer *jetstream.ConsumerInfo, err error) {
	there, err := s.store.link.js.Stream(ctx, s.place.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.found.Store(false)
	}
	if err != nil {
		return "", nil, storeError("cannot look at "+s.place.stream, err)
	}
	metadata := there.CachedInfo().Config.Metadata
	if err := checkFormat(s.place.stream, metadata); err != nil {
		return "", nil, fmt.Errorf("relay: %w", err)
	}
	s.restoredAt.Store(restoredAt(metadata))
	made, err := s.store.readers.makeConsumer(ctx, s.place.stream, s.config())
	if err != nil {
		return "", nil, storeError("cannot make the consumer of "+s.queue, err)
	}
	return s.place.stream, made.CachedInfo(), nil
}

func (s *formerSource) restored() int64 { return s.restoredAt.Load() }

func (s *formerSource) forget() {}
