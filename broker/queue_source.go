package broker

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// queueSource is the kind of a queue: where its messages come from, and where those go
// that no client handled. A SUBSCRIBE chooses it once.
type queueSource interface {
	// key tells it from all other sources; queues with one key are one queue.
	key() string
	// open connects the queue to where its messages come from, and returns what ends
	// that. It is called once at a time, and may take the queue's mu.
	open(q *queue) (closers []func(), err error)
	// requeue takes back messages that were lent to the queue, in their order. It takes
	// the queue's lock.
	requeue(q *queue, all []*delivery)
	// maxDeliveries is after how many deliveries a message is a dead letter; 0: never.
	maxDeliveries() int
	// kept reports whether it is one that a store keeps.
	kept() bool
}

// The marks begin the keys of sources. A stored queue has none: RabbitMQ's clients may
// ask with headers for a stored and for a transient queue of the same name.
const (
	transientMark = "~"
	durableMark   = "!"
	appMark       = "@"
)

// storedQueue draws from the store, on disk and in memory, and from where the store had it before
// its limits changed.
type storedQueue struct {
	name   string
	broker *Broker
}

func (s *storedQueue) key() string { return s.name }

func (s *storedQueue) policy() *QueuePolicy { return s.broker.settings().queues.policy(s.name) }

func (s *storedQueue) open(q *queue) (closers []func(), err error) {
	ctx, cancel := context.WithTimeout(q.broker.ctx, openTimeout)
	defer cancel()
	options, store, former := s.policy().options(), q.broker.store, q.broker.driver.FormerQueues
	var feeds []*feed
	open := func(limit int, o driver.QueueOptions, from openQueue) {
		if err != nil {
			return
		}
		opened := &feed{maxPull: limit}
		opened.reader, err = from(ctx, s.name, o, func(d driver.Delivery) { q.received(opened, d) })
		if err == nil {
			feeds = append(feeds, opened)
		}
	}
	open(maxPull, options, store.OpenQueue)
	open(maxMemoryPull, driver.QueueOptions{Memory: true}, store.OpenQueue)
	if former != nil {
		open(maxFormerPull, options, former.OpenFormer) // last: a store that does not answer has failed before
	}
	if err != nil {
		for _, opened := range feeds {
			opened.reader.Close(nil)
		}
		return nil, err
	}
	slices.Reverse(feeds) // what is older is pulled first
	return q.feedFrom(feeds...), nil
}

// openQueue is how a store opens a queue.
type openQueue func(ctx context.Context, queue string, o driver.QueueOptions, deliver func(driver.Delivery)) (driver.QueueReader, error)

// requeue returns messages to the store, or moves them to the dead letters when they
// were delivered too often.
func (s *storedQueue) requeue(q *queue, all []*delivery) {
	for _, d := range all {
		if q.exhausted(d) {
			q.deadLetter(d, deadMaxDeliveries, nil)
		} else {
			d.settle()
			d.reader.Requeue(d.Delivery)
		}
	}
}

// reject moves messages to the dead letters at once.
func (s *storedQueue) reject(q *queue, all []*delivery, done func(error)) {
	for _, d := range all {
		q.deadLetter(d, deadRejected, done)
	}
}

// holdsDead reports whether its messages are dead letters of another queue.
func (s *storedQueue) holdsDead() bool {
	return strings.HasPrefix(s.name, destination.DeadLetterPrefix)
}

func (s *storedQueue) maxDeliveries() int {
	if s.holdsDead() {
		return 0
	}
	return max(s.policy().MaxDeliveries, 0)
}

func (s *storedQueue) kept() bool { return true }

// consume makes a subscription a consumer of its queue.
func (s *Session) consume(sub *subscription, f *frames.Frame) error {
	defaults := &s.broker.settings().queues
	var source queueSource = &storedQueue{sub.destination, s.broker}
	if defaults.transient(sub.destination, f) {
		source = transientQueue(sub.destination)
	}
	return s.consumeFrom(source, sub, f)
}

// consumeFrom makes a subscription a consumer of the queue of a source.
func (s *Session) consumeFrom(source queueSource, sub *subscription, f *frames.Frame) error {
	prefetch, err := parsePrefetch(f, &s.broker.settings().queues)
	if err == nil {
		sub.consumer = &consumer{source: source, prefetch: prefetch}
	}
	return err
}

// parsePrefetch reads how many unacknowledged messages a SUBSCRIBE wants.
func parsePrefetch(f *frames.Frame, defaults *QueueDefaults) (int, error) {
	prefetch := defaults.Prefetch
	for _, header := range []string{"prefetch-count", "activemq.prefetchSize"} {
		value, ok := f.Headers.Lookup(header)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return 0, errorf(CodeBadHeader, "%s %q is not a number of messages", header, value)
		}
		if prefetch = min(n, defaults.MaxPrefetch); n == 0 {
			prefetch = defaults.MaxPrefetch // as RabbitMQ has it: as many as can be
		}
		break
	}
	return prefetch, nil
}
