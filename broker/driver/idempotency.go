package driver

import (
	"context"
)

// IdempotencyStore keeps small records for all nodes, so that a request is executed once. Keys
// are letters, digits and a dot, before which is the owner. A store that has no room for more
// records forgets those of the owner who has most of them. It is safe for concurrent use.
type IdempotencyStore interface {
	// Record returns the record of a key and its revision, which is 0 if there is none.
	Record(ctx context.Context, key string) (record []byte, revision uint64, err error)
	// PutRecord stores a record for some time, if the revision of its key is still last, and
	// returns the new revision. Otherwise the error wraps [ErrRecordChanged].
	PutRecord(ctx context.Context, key string, record []byte, last uint64) (revision uint64, err error)
}
