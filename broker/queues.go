package broker

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/stompbox/stompbox/auth"
)

// QueueStore is what a [Relay] also implements where it can keep messages until
// they are consumed; without it /queue destinations are refused. Like a Relay it
// is safe for concurrent use.
type QueueStore interface {
	// Store writes a message to the queue that its Key names and calls done once,
	// from any goroutine: with nil when the message is as safe as the store makes
	// it, else with an error that wraps [ErrQueueFull] or [ErrUnavailable] where
	// that is the cause. Messages of one caller to one queue keep their order.
	Store(m *Message, o StoreOptions, done func(error))
	// StoreAll writes several messages, and returns when they are as safe as the
	// store makes them. Those whose queues the store keeps together are all
	// written or none of them.
	StoreAll(ctx context.Context, all []StoreRequest) error
	// OpenQueue begins to consume a queue. Nothing is delivered before
	// [QueueReader.Pull] asks for it; deliver is called for one message at a time.
	OpenQueue(ctx context.Context, queue string, o QueueOptions, deliver func(*Delivery)) (QueueReader, error)
	// Offer hands a message of a transient queue to a consumer on another node,
	// where there is one.
	Offer(m *Message) error
	// OpenTransient takes part in a transient queue: deliver is called with some
	// of what other nodes offer, until close was called.
	OpenTransient(queue string, deliver func(*Message)) (close func(), err error)
}

// StoreOptions say how to keep one message.
type StoreOptions struct {
	Queue QueueOptions
	// History is the policy of a message that is kept for replay; Queue is unused then.
	History string
	// DedupID has the store drop a message that it took under the same id and for
	// the same queue not long ago, and confirm it all the same.
	DedupID string
	// Expires is when the message may be thrown away, in milliseconds since 1970,
	// or 0.
	Expires int64
}

// StoreRequest is one message of [QueueStore.StoreAll].
type StoreRequest struct {
	Message *Message
	Options StoreOptions
}

// QueueOptions are what a store has to know about a queue.
type QueueOptions struct {
	// Memory keeps messages in memory alone.
	Memory bool
	// MaxMessages and MaxBytes bound the queue, where positive; beyond, messages
	// are refused.
	MaxMessages, MaxBytes int64
}

// QueueReader consumes one queue for one node. It is safe for concurrent use.
// None of its methods waits for the network.
type QueueReader interface {
	// Pull has n more messages delivered as they come.
	Pull(n int)
	// Ack removes a delivered message from the queue for good. When done is not
	// nil it is called once the store has confirmed it, or with an error.
	Ack(d *Delivery, done func(error))
	// Return puts a delivered message back, for whoever pulls next.
	Return(d *Delivery)
	// Extend tells the store that the message is still being worked on.
	Extend(d *Delivery)
	// Close ends the delivery. What was delivered can still be acknowledged and
	// returned.
	Close()
}

// Delivery is a message that a queue lent to this node.
type Delivery struct {
	Message *Message
	// Count is how often the message was delivered, this time included.
	Count int
	// Redelivered says that the message may have been seen before, even where
	// Count is 1.
	Redelivered bool
	// Token is for the QueueReader alone.
	Token string

	reader QueueReader // nil in a transient queue
	sub    *subscription
	since  int64 // clock time of the delivery, or of the last Extend
}

// Errors that a QueueStore's errors wrap.
var (
	// ErrQueueFull says that the limits of a queue or of the store are reached.
	ErrQueueFull = errors.New("the queue is full")
	// ErrUnavailable says that the store cannot be reached now; later may do.
	ErrUnavailable = errors.New("the message store is not available")
)

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
	fresh := &queue{broker: b, name: name, policy: b.defaults.policy(name), transient: c.transient, durable: c.durable, app: c.app}
	if c.durable != nil || c.app {
		fresh.policy = &neverDead
	}
	if c.app {
		fresh.pattern, _ = auth.ParsePattern(name) // checked by its SUBSCRIBE
	}
	one := q.open[fresh.key()]
	if one == nil {
		one = fresh
		q.open[one.key()] = one
		if one.app {
			q.apps = append(slices.Clone(q.apps), one)
		}
	}
	one.uses++
	return one
}

// release gives a use back. The last one closes the queue.
func (q *queues) release(one *queue) {
	q.mu.Lock()
	one.uses--
	last := one.uses == 0
	if last {
		delete(q.open, one.key())
		if one.app {
			q.apps = slices.DeleteFunc(slices.Clone(q.apps), func(a *queue) bool { return a == one })
		}
	}
	q.mu.Unlock()
	if last {
		one.close()
	}
}

// transient returns an open transient queue, or nil.
func (q *queues) transient(name string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open[transientMark+name]
}

// serving returns a queue whose app servers take requests to a destination, or nil.
// Several patterns that match take turns.
func (q *queues) serving(key string) *queue {
	q.mu.Lock()
	all, begin := q.apps, q.turn
	q.turn++
	q.mu.Unlock()
	for i := range all {
		if one := all[(begin+i)%len(all)]; one.pattern.Match(key) && one.serves() {
			return one
		}
	}
	return nil
}

// all returns the open queues.
func (q *queues) all() []*queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*queue, 0, len(q.open))
	for _, one := range q.open {
		all = append(all, one)
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
