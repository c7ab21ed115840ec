package driver

import (
	"context"
	"time"
)

// HistoryPage says which part of a history an operator reads.
type HistoryPage struct {
	History string // the policy's name
	Key     string // the routing key of one destination
	// After is the last position that is known; zero reads from the beginning, or from Since.
	After StreamPosition
	Since time.Time
}

// HistoryAdmin lets operators read histories and clear them. It is safe for concurrent use.
type HistoryAdmin interface {
	// ReadHistory calls deliver with the messages of one destination, in order, until deliver
	// returns false or there are no more. The error wraps [ErrBadCursor] if After is of no
	// message that this history had.
	ReadHistory(ctx context.Context, p HistoryPage, deliver func(*Message) (more bool)) error
	// ClearHistory removes the kept messages of a destination, and returns how many there were.
	// Subscribers that return with an older position learn that messages are missing.
	ClearHistory(ctx context.Context, history, key string) (uint64, error)
	// HistoryUsage returns how much a history keeps.
	HistoryUsage(ctx context.Context, history string) (HistoryUsage, error)
}

// HistoryUsage is how much a history keeps.
type HistoryUsage struct {
	Destinations, Messages, Bytes uint64    // bytes as they are stored, with what the store adds
	Oldest                        time.Time // when the oldest message was stored; zero without any
}
