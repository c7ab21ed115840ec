package broker

import (
	"context"
	"errors"
)

// ErrRecordChanged says that a record is another one by now.
var ErrRecordChanged = errors.New("the record was changed meanwhile")

// Records is what a [Relay] also implements where it keeps small records, the same for
// all nodes, by which something is done once. It is safe for concurrent use.
type Records interface {
	// Record returns what is kept under a key, and its revision, which is 0 where
	// there is nothing.
	Record(ctx context.Context, key string) (record []byte, revision uint64, err error)
	// PutRecord keeps a record for a time, where the revision under its key is still
	// last, and returns the new one. Else the error wraps [ErrRecordChanged].
	PutRecord(ctx context.Context, key string, record []byte, last uint64) (revision uint64, err error)
}
