package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/fairslots"
)

// Request is a message to /app for a Handler. The broker sets User and Session, so a client
// cannot forge them.
type Request struct {
	// ID is unique to the request. Timestamp is when the broker accepted it, in milliseconds
	// since 1970.
	ID            string
	Timestamp     int64
	Destination   string
	User, Session string
	Headers       frames.Headers
	Body          []byte
}

// Reply is the answer to a request. It gets the correlation-id of the request.
type Reply struct {
	Headers frames.Headers
	Body    []byte
}

// Handler answers requests in the broker's own process. It is called concurrently. A nil Reply
// means no answer. An error fails the request: the client gets the code and Message of an *Error,
// or the text of any other error. Do not wrap internal details in it. A panic fails only its
// request. Shutdown waits for handlers, and then cancels their context.
type Handler func(ctx context.Context, r Request) (*Reply, error)

// maxHandlers is how many requests handlers answer at a time, about half of them of one user.
const maxHandlers = 1024

type handlers struct {
	mu    sync.RWMutex
	all   []*handler
	stops []func() // end the serving of other nodes' requests
	slots *fairslots.Slots

	running  sync.WaitGroup
	finished bool // nothing is begun any more
}

type handler struct {
	broker  *Broker
	pattern destination.Pattern
	handle  Handler
}

// finish takes no more requests of other nodes, and returns when those that handlers
// have are done or ctx is.
func (h *handlers) finish(ctx context.Context) {
	h.mu.Lock()
	stops := h.stops
	h.stops, h.finished = nil, true
	h.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func handlerError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return &Error{Code: CodeAppFailed, Message: err.Error()}
}

func (h *handlers) find(key string) *handler {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, registered := range h.all {
		if registered.pattern.Match(key) {
			return registered
		}
	}
	return nil
}

// take answers a request in a goroutine of its own. It returns [driver.ErrNoAppServer] for one
// that is not its, and an *Error where there is no room.
func (h *handler) take(m *driver.Message) error {
	if !h.pattern.Match(m.Key) {
		return driver.ErrNoAppServer
	}
	b := h.broker
	begun, busy := b.handlers.begin(m.User)
	if busy != fairslots.Taken {
		if busy == fairslots.OverPart {
			b.CountLimit(limitUserRequests)
		}
		return errorf(CodeAppBusy, "too many requests at a time; try again")
	}
	if !begun {
		return driver.ErrNoAppServer
	}
	bytes := messageBytes(m)
	if err := b.memory.waiting.take(m.User, bytes); err != nil {
		b.handlers.end(m.User)
		return err
	}
	go func() {
		defer b.handlers.end(m.User)
		defer b.memory.waiting.give(m.User, bytes)
		reply, err := h.call(m)
		switch {
		case err != nil:
			e := handlerError(err)
			b.app.failOrLog(m, e.Code, e.Message)
		case reply != nil:
			b.app.answer(m, reply.Headers, reply.Body)
		}
	}()
	return nil
}

// begin takes a slot for a request of a user, unless there is none for it or the broker
// shuts down.
func (h *handlers) begin(user string) (begun bool, busy fairslots.Outcome) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.finished {
		return false, fairslots.Taken
	}
	if busy = h.slots.Take(user); busy != fairslots.Taken {
		return false, busy
	}
	h.running.Add(1)
	return true, fairslots.Taken
}

func (h *handlers) end(user string) {
	h.slots.Give(user)
	h.running.Done()
}

var errPanic = errors.New("the request failed; the server's log says why")

func (h *handler) call(m *driver.Message) (reply *Reply, err error) {
	b := h.broker
	timeout := b.settings().appTimeout
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("a handler panicked", "destination", m.Key, "session", m.Session, "panic", p, "stack", string(debug.Stack()))
			reply, err = nil, errPanic
		}
	}()
	return h.handle(ctx, Request{ID: m.ID, Timestamp: m.Timestamp, Destination: m.Key, User: m.User, Session: m.Session, Headers: m.Headers, Body: m.Body})
}

// sweepRequests fails the requests that got no answer in time.
func (b appRouter) sweepRequests(now int64) {
	for _, m := range b.pendingRequests.takeExpired(now) {
		b.failOrLog(m, CodeAppTimeout, fmt.Sprintf("no answer from %s within %s", m.Key, b.settings().appTimeout.Round(time.Millisecond)))
	}
}
