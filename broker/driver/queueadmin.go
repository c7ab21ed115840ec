package driver

import (
	"context"
	"time"
)

// QueueInfo describes a queue for operators.
type QueueInfo struct {
	Name string `json:"name"`
	// Messages is the number of stored messages, including those that consumers hold.
	Messages uint64 `json:"messages"`
	// InMemory is how many of them are in memory only.
	InMemory uint64 `json:"in_memory"`
	// Held is the number of delivered but unacknowledged messages.
	Held int `json:"held"`
	// Redelivered is how many of these were delivered before.
	Redelivered int `json:"redelivered"`
	// Bytes is the size, for queues with their own limits.
	Bytes uint64 `json:"bytes,omitempty"`
	// MaxMessages and MaxBytes are the queue's own limits, or 0.
	MaxMessages int64 `json:"max_messages,omitempty"`
	MaxBytes    int64 `json:"max_bytes,omitempty"`
}

// Peek says which messages of a queue to look at.
type Peek struct {
	// Limit is the maximum number of messages. MaxBytes bounds the total size of the bodies after
	// the first.
	Limit, MaxBytes int
	// After is the Next of the previous peek, or "" for the beginning.
	After string
}

// Peeked is the result of a [Peek].
type Peeked struct {
	// Messages are the stored messages, oldest first, including those that consumers hold.
	// Messages in memory come after the others.
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
	// PeekQueue returns messages of a queue without delivering them, and without any effect on
	// consumers. The error wraps [ErrBadCursor] if After is not a Next of this queue.
	PeekQueue(ctx context.Context, queue string, p Peek) (Peeked, error)
	// PurgeQueue removes all messages of a queue, and returns how many there were.
	PurgeQueue(ctx context.Context, queue string) (uint64, error)
	// RemoveMessages checks up to limit messages of a queue, from after on, and removes those
	// that match, even if consumers hold them. It returns how many it removed, and the after of
	// the next call, or "" at the end.
	RemoveMessages(ctx context.Context, queue, after string, limit int, match func(*Message) bool) (removed int, next string, err error)
	// MoveMessage looks for the message with an id among up to limit messages of a queue, from after
	// on, and moves it to the queue that target returns. It reports whether it did, and if it has
	// not found the message, the after of the next call, or "" at the end. A consumer may still
	// hold the message too.
	MoveMessage(ctx context.Context, queue, id, after string, limit int, target func(*Message) (string, QueueOptions)) (moved bool, next string, err error)
	// MoveQueue moves up to limit messages that no consumer holds to the queue that target
	// returns, and returns how many it moved. A target of "" leaves the message where it is.
	MoveQueue(ctx context.Context, queue string, limit int, target func(*Message) (string, QueueOptions)) (int, error)
}
