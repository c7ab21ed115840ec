package broker

import (
	"errors"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// transientOperation returns what carries out a SEND to a transient queue. There is
// no queue without a consumer, so then the message is lost: a sender that asks for a
// confirmation gets an error.
func (b stores) transientOperation(f *frames.Frame, m *driver.Message) operation {
	_, receipt := f.Headers.Lookup(frames.Receipt)
	_, transaction := f.Headers.Lookup(frames.Transaction)
	if m.Session != "" && !receipt && !transaction {
		return operation{size: len(m.Body), run: func() error { return b.sendTransient(m, nil) }}
	}
	return operation{size: len(m.Body), memory: messageBytes(m), runAsync: func(done func(error)) {
		err := b.sendTransient(m, func(err error) { done(b.transientError(m, err)) })
		if err != nil {
			done(err)
		}
	}}
}

// sendTransient hands a message of a transient queue to a consumer of this node, or
// else to one of another. Where it returns no error, done is called with what became of
// it; it may be nil.
func (b stores) sendTransient(m *driver.Message, done func(error)) error {
	if q := b.queues.findTransient(m.Key); q != nil && q.hasConsumers() {
		if err := q.offer(newDelivery(m, 1)); err != nil {
			return b.stored(m, err, nil)
		}
		if done != nil {
			done(nil)
		}
		return nil
	}
	if err := b.store.Offer(m, done); err != nil {
		return storeError("destination \""+m.Key+"\"", err)
	}
	return nil
}

func (b stores) transientError(m *driver.Message, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, driver.ErrNoConsumer):
		b.counters.refused.Add(1)
		return &Error{Code: CodeNoConsumer, Message: "destination \"" + m.Key + "\": this transient queue has no consumer, and keeps nothing", Cause: err, retryAfter: retryAfter}
	}
	return b.stored(m, err, nil)
}

// transientQueue lives in memory, while there is a subscription to the queue that it names.
type transientQueue string

func (t transientQueue) key() string { return transientMark + string(t) }

func (t transientQueue) open(q *queue) ([]func(), error) {
	stop, err := q.broker.store.OpenTransient(string(t), func(m *driver.Message) bool {
		return q.hasConsumers() && q.offer(newDelivery(m, 1)) == nil
	})
	return []func(){stop}, err
}

// requeue returns messages to the front. With the last consumer of this node they go
// to another node, where there is one.
func (t transientQueue) requeue(q *queue, all []*delivery) {
	all = again(all)
	if q.offerFront(all) {
		return
	}
	for _, d := range all {
		d.settle()
		_ = q.broker.store.Offer(d.Message, nil) // at most once is what transient queues promise
	}
}

// again makes the next deliveries of messages that no store holds. One that its client did
// not come to work on does not count.
func again(all []*delivery) []*delivery {
	next := make([]*delivery, len(all))
	for i, d := range all {
		next[i] = newDelivery(d.Message, d.Count+1)
		next[i].budget, next[i].owner, next[i].bytes = d.budget, d.owner, d.bytes
		d.budget, d.bytes = nil, 0
		if d.untouched {
			next[i].Count = d.Count
			next[i].Redelivered = true
		}
	}
	return next
}

func (t transientQueue) maxDeliveries() int { return 0 }

func (t transientQueue) kept() bool { return false }
