package driver

import (
	"context"
	"time"
)

// QueueStore keeps messages until they are consumed. It also takes the messages of
// histories, so that one transaction can write to both. It is safe for concurrent use.
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
	OpenQueue(ctx context.Context, queue string, o QueueOptions, deliver func(Delivery)) (QueueReader, error)
	// Offer hands a message of a transient queue to a consumer on another node,
	// where there is one.
	//
	// Where done is not nil it is called once, from any goroutine: with nil when the
	// consumer's node has the message, with [ErrNoConsumer] where there is none, or with
	// another error. Without done its fate stays unknown.
	Offer(m *Message, done func(error)) error
	// OpenTransient takes part in a transient queue: deliver is called with some
	// of what other nodes offer, and reports whether there was room, until stop was called.
	OpenTransient(queue string, deliver func(*Message) bool) (stop func(), err error)
	// AckWait is how long the store waits for a node that holds messages and has died.
	// A node extends what its sessions hold three times as often.
	AckWait() time.Duration
}

// StoreOptions say how to keep one message.
type StoreOptions struct {
	Queue QueueOptions
	// History is the policy of a message that is kept for replay; Queue is unused then.
	History string
	// DedupID has the store drop a message that it took under the same id, of the same user and for
	// the same queue not long ago, and confirm it all the same.
	DedupID string
	// Internal says that DedupID is the broker's own. It is another one than that of
	// any client, whatever its text.
	Internal bool
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
	Ack(d Delivery, done func(error))
	// Requeue puts a delivered message back, for the next consumer that pulls.
	Requeue(d Delivery)
	// Extend has the store wait for the message again, as it is still being worked on.
	Extend(d Delivery)
	// Close ends the delivery and puts held back, which was delivered, and all that is
	// still on its way, for the next consumer that pulls, in the order of the queue. What else was
	// delivered can still be acknowledged and returned. The channel is closed once all of
	// that is back, or some seconds later where the store does not say so.
	Close(held []Delivery) (returned <-chan struct{})
}

// Delivery is a message that a store lent to this node.
type Delivery struct {
	// Message is nil where the store ends a pull early, such as when it has brought as many
	// bytes as a pull may. Then Short messages fewer come; the rest is to be pulled again.
	Message *Message
	Short   int
	// Count is how often the message was delivered, this time included.
	Count int
	// Redelivered says that the message may have been seen before, even where
	// Count is 1.
	Redelivered bool
	// Seq is the message's place in the order of its queue, as its reader has it.
	Seq uint64
	// Token is for the QueueReader alone.
	Token string
}
