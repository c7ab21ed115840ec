package driver

import (
	"errors"
)

// Errors that the errors of a driver wrap.
var (
	// ErrQueueFull says that the limits of a queue or of the store are reached.
	ErrQueueFull = errors.New("the queue is full")
	// ErrUnavailable says that the backend cannot be reached now; later may do.
	ErrUnavailable = errors.New("the message store is not available")
	// ErrNoAppServer says that no app server serves a destination.
	ErrNoAppServer = errors.New("no app server serves it")
	// ErrKeyTooLong says that a routing key, pattern or queue is longer than
	// [destination.MaxEncoded]. The broker checks before; it is for who else calls.
	ErrKeyTooLong = errors.New("the name is too long")
	// ErrNoQueue says that a queue has neither messages nor consumers.
	ErrNoQueue = errors.New("no such queue")
	// ErrBadCursor says that a list cannot be continued where it was to be.
	ErrBadCursor = errors.New("not a place in the list")
	// ErrRecordChanged says that a record has another revision by now.
	ErrRecordChanged = errors.New("the record was changed meanwhile")
)

// ErrNoConsumer says that a transient queue has no consumer.
var ErrNoConsumer = errors.New("nobody consumes the queue")
