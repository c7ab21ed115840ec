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
	sub        *subscription
	number     uint64 // of the delivery in its session; see unacked
	extendedAt int64  // clock time of the delivery, or of the last Extend
}

// newDelivery makes the delivery of a message that no store holds.
func newDelivery(m *driver.Message, count int) *delivery {
	return &delivery{Delivery: driver.Delivery{Message: m, Count: count}}
}

// queues holds the queues that have subscriptions on this node.
type queues struct {
	mu   sync.Mutex
	open map[string]*queue
	apps []*queue // those of requests
	turn int      // where to begin among them
}

// acquire returns the queue with its use counted, made when it is new.
func (q *queues) acquire(b *Broker, name string, c *consumer) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		q.open = make(map[string]*queue)
	}
	made := &queue{broker: b, name: name, policy: b.defaults.policy(name), transient: c.transient, durable: c.durable, app: c.app}
	if c.durable != nil || c.app {
		made.policy = &neverDead
	}
	if c.app {
		made.pattern, _ = destination.ParsePattern(name) // checked by its SUBSCRIBE
	}
	found := q.open[made.key()]
	if found == nil {
		found = made
		q.open[found.key()] = found
		if found.app {
			q.apps = append(slices.Clone(q.apps), found)
		}
	}
	found.refs++
	return found
}

// release gives a use back. The last one closes the queue.
func (q *queues) release(released *queue) {
	q.mu.Lock()
	released.refs--
	last := released.refs == 0
	if last {
		delete(q.open, released.key())
		if released.app {
			q.apps = slices.DeleteFunc(slices.Clone(q.apps), func(a *queue) bool { return a == released })
		}
	}
	q.mu.Unlock()
	if last {
		released.close()
	}
}

// findTransient returns an open transient queue, or nil.
func (q *queues) findTransient(name string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open[transientMark+name]
}

// findApp returns a queue whose app servers take requests to a destination, or nil.
// Several patterns that match take turns.
func (q *queues) findApp(key string) *queue {
	q.mu.Lock()
	all, begin := q.apps, q.turn
	q.turn++
	q.mu.Unlock()
	for i := range all {
		if candidate := all[(begin+i)%len(all)]; candidate.pattern.Match(key) && candidate.hasConsumers() {
			return candidate
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

// transientMark tells a transient queue from a stored one of the same name, which
// RabbitMQ's clients may ask for with headers; durableMark a durable subscription;
// appMark app servers.
const (
	transientMark = "~"
	durableMark   = "!"
	appMark       = "@"
)

func (q *queue) key() string {
	switch {
	case q.durable != nil:
		return durableMark + q.durable.Name
	case q.app:
		return appMark + q.name
	case q.transient:
		return transientMark + q.name
	}
	return q.name
}
