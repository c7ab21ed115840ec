package broker

import (
	"slices"
	"sync"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// delivery is a message that a queue lent to this node, with what the broker notes of it.
type delivery struct {
	driver.Delivery

	reader     driver.QueueReader // nil in a transient queue
	feed       int                // which of the queue's feeds the reader was of
	sub        *subscription
	number     uint64 // of the delivery in its session; see unacked
	again      int    // how often it was delivered again that the store does not know of
	extendedAt int64  // clock time of the delivery, or of the last Extend
	untouched  bool   // its client ended before it came to work on it
	waits      bool   // it counts in waits of its queue

	budget *budget // that has its bytes, until it is settled
	owner  string  // the user whose bytes they are
	bytes  int
}

// settle gives back what the delivery takes of a budget: its message goes elsewhere, or is
// needed no longer.
func (d *delivery) settle() {
	d.budget.give(d.owner, d.bytes)
	d.budget, d.bytes = nil, 0
}

// charge counts a message that no store has against its sender's budget.
func (d *delivery) charge(b *budget) *Error {
	if d.budget != nil || b == nil {
		return nil
	}
	bytes := messageBytes(d.Message)
	if err := b.take(d.Message.User, bytes); err != nil {
		return err
	}
	d.budget, d.owner, d.bytes = b, d.Message.User, bytes
	return nil
}

// chargeTo counts a message of a store against the budget of its receiver.
func (d *delivery) chargeTo(b *budget, user string) {
	if d.budget != nil && d.owner == user || b == nil {
		return
	}
	d.settle()
	d.budget, d.owner, d.bytes = b, user, messageBytes(d.Message)
	b.force(user, d.bytes)
}

// newDelivery makes the delivery of a message that no store holds.
func newDelivery(m *driver.Message, count int) *delivery {
	return &delivery{Delivery: driver.Delivery{Message: m, Count: count}}
}

// queues holds the queues that have subscriptions on this node.
type queues struct {
	mu      sync.Mutex // guards the following, and the refs of queues
	open    map[string]*queue
	idle    idleUncounted
	serving []servingQueue // never changed, but replaced
	turn    int            // where to begin among them
}

// servingQueue is a queue whose app servers take the requests to a pattern.
type servingQueue struct {
	pattern destination.Pattern
	queue   *queue
}

// acquire returns the queue of a source with its use counted, made when it is new. A new
// one that the store has a consumer for counts for the user, even if others consume it.
func (q *queues) acquire(b *Broker, user, name string, source queueSource) (*queue, *Error) {
	key := source.key()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		q.open = make(map[string]*queue)
	}
	found := q.open[key]
	if found == nil {
		found = &queue{broker: b, name: name, source: source, owner: user}
		if source.kept() {
			if err := b.memory.queues.take(user, openQueueBytes); err != nil {
				err.Code = CodeTooManySubs
				return nil, err
			}
		}
		found.uncounted.replace(q.idle.take(key))
		q.open[key] = found
	}
	found.refs++
	return found, nil
}

// release gives a use back. The last one closes the queue.
func (q *queues) release(released *queue) {
	q.mu.Lock()
	released.refs--
	last := released.refs == 0
	if last {
		delete(q.open, released.source.key())
	}
	q.mu.Unlock()
	if last {
		if released.source.kept() {
			released.broker.memory.queues.give(released.owner, openQueueBytes)
		}
		released.close(nil)
		q.keepUncounted(released)
	}
}

// find returns the open queue with a key, or nil.
func (q *queues) find(key string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open[key]
}

// keepUncounted keeps what is known of a queue's deliveries for its next consumer.
func (q *queues) keepUncounted(released *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := released.uncounted.replace(nil)
	if again := q.open[released.source.key()]; again != nil {
		for id, n := range counts {
			again.uncounted.add(id, n)
		}
		return
	}
	q.idle.put(released.source.key(), counts)
}

// findTransient returns an open transient queue, or nil.
func (q *queues) findTransient(name string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open[transientQueue(name).key()]
}

// serve has a queue be found by the requests to a pattern, until it is withdrawn.
func (q *queues) serve(pattern destination.Pattern, served *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serving = append(slices.Clone(q.serving), servingQueue{pattern, served})
}

func (q *queues) withdraw(served *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serving = slices.DeleteFunc(slices.Clone(q.serving), func(s servingQueue) bool { return s.queue == served })
}

// findApp returns a queue whose app servers take requests to a destination, or nil.
// Several patterns that match are served round-robin.
func (q *queues) findApp(key string) *queue {
	q.mu.Lock()
	all, begin := q.serving, q.turn
	q.turn++
	q.mu.Unlock()
	for i := range all {
		if found := all[(begin+i)%len(all)]; found.pattern.Match(key) && found.queue.hasConsumers() {
			return found.queue
		}
	}
	return nil
}

// all returns the open queues.
func (q *queues) all() []*queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*queue, 0, len(q.open))
	for _, opened := range q.open {
		all = append(all, opened)
	}
	return all
}
