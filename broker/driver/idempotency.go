package driver

import (
	"context"
)

// IdempotencyStore keeps small records, the same for all nodes, by which something is
// done once. It is safe for concurrent use.
type IdempotencyStore interface {
	// Record returns what is kept under a key, and its revision, which is 0 where
	// there is nothing.
	Record(ctx context.Context, key string) (record []byte, revision uint64, err error)
	// PutRecord keeps a record for a time, where the revision under its key is still
	// last, and returns the new one. Otherwise the error wraps [ErrRecordChanged].
	PutRecord(ctx context.Context, key string, record []byte, last uint64) (revision uint64, err error)
}
