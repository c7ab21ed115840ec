package driver

import (
	"context"
	"time"
)

// HistoryPage says what of a history an operator reads.
type HistoryPage struct {
	History string // the policy's name
	Key     string // the routing key of one destination
	// After is the last position that is known; zero reads from the beginning, or from Since.
	After StreamPosition
	Since time.Time
}

// HistoryAdmin lets operators read histories and clear them. It is safe for concurrent use.
type HistoryAdmin interface {
	// ReadHistory calls deliver with the messages of one destination, in order, until it
	// returns false or there are no more.
	ReadHistory(ctx context.Context, p HistoryPage, deliver func(*Message) (more bool)) error
	// ClearHistory removes what a history keeps of a destination, and returns how many
	// messages that were. Subscribers that come back with an older position read that
	// something is missing.
	ClearHistory(ctx context.Context, history, key string) (uint64, error)
}
