package driver

import (
	"context"
	"time"
)

// QueueStore keeps messages until they are consumed. It also stores the messages of histories, so
// that one transaction can write to both. It is safe for concurrent use.
type QueueStore interface {
	// Store writes a message to the queue that its Key names and calls done once, from any
	// goroutine. Done gets nil when the message is stored, or an error that wraps [ErrQueueFull]
	// or [ErrUnavailable] if that is the cause. Messages of one caller to one queue keep their
	// order.
	Store(m *Message, o StoreOptions, done func(error))
	// StoreAll writes several messages, and returns when they are stored. Of the messages whose
	// queues the store keeps together, it writes all or none.
	StoreAll(ctx context.Context, all []StoreRequest) error
	// OpenQueue begins to consume a queue. Nothing is delivered before
	// [QueueReader.Pull] asks for it; deliver is called for one message at a time.
	OpenQueue(ctx context.Context, queue string, o QueueOptions, deliver func(Delivery)) (QueueReader, error)
	// Offer hands a message of a transient queue to a consumer on another node, if there is one.
	//
	// If done is not nil, it is called once, from any goroutine: with nil when the consumer's
	// node has the message, with [ErrNoConsumer] if there is none, or with another error. Without
	// done the outcome is unknown.
	Offer(m *Message, done func(error)) error
	// OpenTransient joins a transient queue: until stop is called, deliver is called with some of
	// the messages that other nodes offer, and reports whether it accepted the message.
	OpenTransient(queue string, deliver func(*Message) bool) (stop func(), err error)
	// AckWait is how long the store waits for a node that holds messages and has died.
	// A node extends what its sessions hold three times as often.
	AckWait() time.Duration
	// DedupWindow is how long the store remembers dedup ids. It does not change.
	DedupWindow() time.Duration
}

// FormerQueues reads what is left of queues in the places where they were kept with other options,
// such as before limits were added to a queue or removed.
type FormerQueues interface {
	// OpenFormer is [QueueStore.OpenQueue] for the messages of a queue that are not where a queue
	// with these options is kept. Its reader also delivers what comes there later, from a node with
	// other settings. It succeeds where there is no such place.
	OpenFormer(ctx context.Context, queue string, o QueueOptions, deliver func(Delivery)) (QueueReader, error)
}

// QueueMemory measures the queues that a store keeps in memory.
type QueueMemory interface {
	// MemoryBytes returns how many bytes the messages in memory take, of all nodes, about. Each
	// counts [MessageOverhead] in addition to its text.
	MemoryBytes(ctx context.Context) (int64, error)
}

// QueueCounter counts queues.
type QueueCounter interface {
	// CountQueues returns how many queues on disk have messages, on all nodes, with those
	// that have limits of their own.
	CountQueues(ctx context.Context) (int64, error)
}

// MessageOverhead is about how many bytes a message in memory takes in addition to its text.
const MessageOverhead = 512

// StoreOptions say how to keep one message.
type StoreOptions struct {
	Queue QueueOptions
	// History is the policy of a message for a history; Queue is unused then.
	History string
	// If DedupID is set and the store recently accepted a message with the same id, user and
	// queue, it drops this message and confirms it.
	DedupID string
	// Internal means that DedupID is the broker's own. It never equals that of a client.
	Internal bool
	// Expires is when the message may be discarded, in milliseconds since 1970, or 0.
	Expires int64
}

// StoreRequest is one message of [QueueStore.StoreAll].
type StoreRequest struct {
	Message *Message
	Options StoreOptions
}

// QueueOptions are the options of a queue for the store.
type QueueOptions struct {
	// Memory keeps messages in memory only.
	Memory bool
	// MaxMessages and MaxBytes bound the queue if positive. Above them, messages are refused.
	MaxMessages, MaxBytes int64
}

// QueueReader consumes one queue for one node. It is safe for concurrent use.
// None of its methods waits for the network.
type QueueReader interface {
	// Pull requests n more messages, which are delivered as they arrive.
	Pull(n int)
	// Ack removes a delivered message from the queue. If done is not nil, it is called when the
	// store has confirmed this, or with an error.
	Ack(d Delivery, done func(error))
	// Requeue puts a delivered message back, for the next consumer that pulls.
	Requeue(d Delivery)
	// Extend restarts the store's wait for the message, which is still in use.
	Extend(d Delivery)
	// Close ends the delivery. It returns the delivered messages in held, and all that are still
	// on their way, to the queue in their order, for the next consumer that pulls. Other
	// delivered messages can still be acknowledged and requeued. The channel is closed when all
	// messages are back, or some seconds later if the store does not confirm that.
	Close(held []Delivery) (returned <-chan struct{})
}

// Delivery is a message that a store delivered to this node.
type Delivery struct {
	// Message is nil if the store ends a pull early, for example at its limit of bytes. Then the
	// pull brings Short messages fewer, and the caller should pull these again.
	Message *Message
	Short   int
	// Count is how often the message was delivered, including this time.
	Count int
	// Redelivered means that a consumer may have seen the message before, even if Count is 1.
	Redelivered bool
	// Seq is the message's place in the order of its queue, for its reader.
	Seq uint64
	// Token is for the QueueReader only.
	Token string
}
