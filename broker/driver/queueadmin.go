package driver

import (
	"context"
	"time"
)

// QueueInfo is what an operator sees of a queue.
type QueueInfo struct {
	Name string `json:"name"`
	// Messages are stored, those that consumers hold included.
	Messages uint64 `json:"messages"`
	// InMemory is how many of them are in memory only.
	InMemory uint64 `json:"in_memory"`
	// Held are delivered and not acknowledged yet.
	Held int `json:"held"`
	// Redelivered are those of them that were delivered before.
	Redelivered int `json:"redelivered"`
	// Bytes is the size of queues with limits of their own.
	Bytes uint64 `json:"bytes,omitempty"`
	// MaxMessages and MaxBytes are the queue's own limits, or 0.
	MaxMessages int64 `json:"max_messages,omitempty"`
	MaxBytes    int64 `json:"max_bytes,omitempty"`
}

// Peek says which messages of a queue to look at.
type Peek struct {
	// Limit is how many messages at most, and MaxBytes how large their bodies may be
	// together, beside the first.
	Limit, MaxBytes int
	// After is the Next of the peek before, or "" for the beginning.
	After string
}

// Peeked is what there is of a queue.
type Peeked struct {
	// Messages are as they are stored, oldest first, those that consumers hold included.
	// Messages that are in memory only come after the others.
	Messages []*Message
	// Next is the After of the next peek, or "" where there are no more messages.
	Next string
}

// QueueAdmin lets operators look at queues and mend them. It is safe for concurrent use.
type QueueAdmin interface {
	// ListQueues returns all queues that have messages or consumers, by name.
	ListQueues(ctx context.Context) ([]QueueInfo, error)
	// Queue returns one queue, or an error that wraps [ErrNoQueue].
	Queue(ctx context.Context, name string) (QueueInfo, error)
	// Oldest is when the oldest message of a queue was stored, or the zero time where it
	// has none.
	Oldest(ctx context.Context, queue string) (time.Time, error)
	// PeekQueue looks at messages of a queue without delivering them: consumers get them
	// as if it had not been. It returns an error that wraps [ErrBadCursor] for an After
	// that is no Next of the queue.
	PeekQueue(ctx context.Context, queue string, p Peek) (Peeked, error)
	// PurgeQueue removes all messages of a queue, and returns how many there were.
	PurgeQueue(ctx context.Context, queue string) (uint64, error)
	// RemoveMessages looks at up to limit messages of a queue, as a peek from after on, and
	// removes those that match, also where consumers hold them. It returns how many, and
	// where to go on, or "" at the end.
	RemoveMessages(ctx context.Context, queue, after string, limit int, match func(*Message) bool) (removed int, next string, err error)
	// MoveMessage moves the message with an id to where target says, and reports whether it
	// did. A consumer that holds the message may have it too.
	MoveMessage(ctx context.Context, queue, id string, target func(*Message) (string, QueueOptions)) (bool, error)
	// MoveQueue moves up to limit messages that no consumer holds to where target says,
	// and returns how many. A target of "" leaves the message where it is.
	MoveQueue(ctx context.Context, queue string, limit int, target func(*Message) (string, QueueOptions)) (int, error)
}
