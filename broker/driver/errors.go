package driver

import (
	"errors"
)

// Errors that the errors of a driver wrap.
var (
	// ErrQueueFull means that a limit of a queue or of the store is reached.
	ErrQueueFull = errors.New("the queue is full")
	// ErrUnavailable means that the backend cannot be reached now; trying again later may help.
	ErrUnavailable = errors.New("the message store is not available")
	// ErrNoAppServer says that no app server serves a destination.
	ErrNoAppServer = errors.New("no app server serves it")
	// ErrKeyTooLong says that a routing key, pattern or queue is longer than
	// [destination.MaxEncoded]. The broker checks this before; the error is for other callers.
	ErrKeyTooLong = errors.New("the name is too long")
	// ErrNoQueue says that a queue has neither messages nor consumers.
	ErrNoQueue = errors.New("no such queue")
	// ErrBadCursor means that the given place is not in the list.
	ErrBadCursor = errors.New("not a place in the list")
	// ErrRecordChanged means that the record has a newer revision.
	ErrRecordChanged = errors.New("the record was changed meanwhile")
)

// ErrNoConsumer says that a transient queue has no consumer.
var ErrNoConsumer = errors.New("the queue has no consumer")
