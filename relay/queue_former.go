package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// maxFormerLooks is how many queues are looked at in one sweep for messages in their other
// place.
const maxFormerLooks = 200

// formerQueues is a [driver.FormerQueues]. A queue with limits has another place than one
// without; so messages that were stored before limits were added or removed are in the place
// where the queue was. A consumer of JetStream costs some 60 KB, so a reader of the other
// place has one only once there are messages.
type formerQueues struct {
	store *queueStore

	listing sync.Mutex // held while the streams are listed for a queue that is opened

	mu     sync.Mutex // guards the following
	listed bool       // it was tried to list them on this connection
	// bounded are the streams of queues with limits.
	bounded map[string]struct{}
	// told are the queues that the log has a line about.
	told map[string]struct{}
}

func newFormerQueues(s *queueStore) *formerQueues {
	return &formerQueues{store: s, told: make(map[string]struct{})}
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
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	err := f.listOnce(ctx)
	if err == nil {
		err = f.look(ctx, s)
	}
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

// forget has the streams listed again, after the server was away.
func (f *formerQueues) forget() {
	f.mu.Lock()
	f.listed, f.bounded = false, nil
	f.mu.Unlock()
}

// listOnce lists the streams of queues with limits, once for a connection. Where that fails
// the sweep does it.
func (f *formerQueues) listOnce(ctx context.Context) error {
	f.listing.Lock()
	defer f.listing.Unlock()
	f.mu.Lock()
	listed := f.listed
	f.listed = true
	f.mu.Unlock()
	if listed {
		return nil
	}
	return f.list(ctx)
}

func (f *formerQueues) list(ctx context.Context) error {
	l := f.store.link
	if err := l.checkAsk(); err != nil {
		return err
	}
	names := l.js.StreamNames(ctx, jetstream.WithStreamListSubject(boundedPrefix(l.prefix)+".queue.>"))
	bounded := make(map[string]struct{})
	for name := range names.Name() {
		bounded[name] = struct{}{}
	}
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return storeError("cannot list queues", err)
	}
	f.mu.Lock()
	f.listed, f.bounded = true, bounded
	f.mu.Unlock()
	return nil
}

// look finds out whether a place has messages of its queue.
func (f *formerQueues) look(ctx context.Context, s *formerSource) error {
	l := f.store.link
	if s.place.prefix == boundedPrefix(l.prefix) {
		f.mu.Lock()
		_, there := f.bounded[s.place.stream]
		f.mu.Unlock()
		if !there {
			return nil
		}
	}
	if err := l.checkAsk(); err != nil {
		return err
	}
	n, err := countAtLeader(ctx, l, s.place.stream, s.place.subject)
	var api *apiError
	if errors.As(err, &api) && api.Code == http.StatusNotFound {
		return nil
	}
	if err != nil || n == 0 {
		return err
	}
	f.tell(s.queue, n)
	s.found.Store(true)
	return nil
}

// tell logs once that a queue has messages in its other place.
func (f *formerQueues) tell(queue string, messages int64) {
	f.mu.Lock()
	_, told := f.told[queue]
	f.told[queue] = struct{}{}
	f.mu.Unlock()
	if !told {
		f.store.link.log.Warn("messages of a queue are where it was before max_messages or max_bytes was added or removed; they are delivered too, in no order with newer ones, and their dedup ids are not compared with those of new messages",
			"destination", queue, "messages", messages)
	}
}

// sweep looks at the other places of the queues that are open: a node with other settings may
// store messages there.
func (f *formerQueues) sweep(ctx context.Context) error {
	if err := f.list(ctx); err != nil {
		return err
	}
	looks := 0
	for _, q := range f.store.readers.all() { // in random order
		s, ok := q.source.(*formerSource)
		if !ok || s.found.Load() {
			continue
		}
		if looks++; looks > maxFormerLooks {
			return nil
		}
		if err := f.look(ctx, s); err != nil {
			return err
		}
	}
	return nil
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

// boundedPrefix begins the subjects of queues with limits of their own.
func boundedPrefix(prefix string) string { return prefix + ".bounded" }
