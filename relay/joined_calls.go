package relay

import (
	"context"
	"sync"
)

// joinedCalls has callers that ask the same at the same time share one answer, which is always
// of a question that was asked after they called. So a question is asked once at a time,
// however many want to know.
type joinedCalls[T any] struct {
	mu   sync.Mutex     // guards next
	next *joinedCall[T] // that waits for its turn; more callers may join it
	turn chan struct{}  // has one element while a question is asked
}

type joinedCall[T any] struct {
	done   chan struct{} // closed when the following are there
	answer T
	err    error
	gone   bool // who was to ask has given up
}

func newJoinedCalls[T any]() *joinedCalls[T] {
	return &joinedCalls[T]{turn: make(chan struct{}, 1)}
}

// do returns what ask does. The answer is shared: no caller may change it.
func (j *joinedCalls[T]) do(ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		c, joins := j.join()
		if !joins {
			j.ask(ctx, c, ask)
			return c.answer, c.err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		if !c.gone {
			return c.answer, c.err
		}
	}
}

// join returns the call that waits for its turn, or makes one, which the caller has to ask.
func (j *joinedCalls[T]) join() (c *joinedCall[T], joins bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.next != nil {
		return j.next, true
	}
	j.next = &joinedCall[T]{done: make(chan struct{})}
	return j.next, false
}

// begin has no more callers join the call.
func (j *joinedCalls[T]) begin() {
	j.mu.Lock()
	j.next = nil
	j.mu.Unlock()
}

// ask waits for the call's turn, and asks for all who have joined it until then.
func (j *joinedCalls[T]) ask(ctx context.Context, c *joinedCall[T], ask func(context.Context) (T, error)) {
	defer close(c.done)
	select {
	case j.turn <- struct{}{}:
		defer func() { <-j.turn }()
		j.begin()
		c.answer, c.err = ask(ctx)
	case <-ctx.Done():
		j.begin()
		c.err = ctx.Err()
	}
	c.gone = c.err != nil && ctx.Err() != nil
}
