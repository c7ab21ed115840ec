package gateway

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker"
)

// eventConn is the broker.Transport of a stream of events. What the broker writes
// waits until the answer has begun.
type eventConn struct {
	framing  broker.EventFraming
	remote   string
	begun    chan struct{}
	finished chan struct{} // nothing more is written
	finish   func()

	mu    sync.Mutex // guards the following
	sink  eventSink
	early func(eventSink) // what ended the stream before it had a sink, or nil
}

// eventSink is what the bytes go to: a connection, or one answer of several on it.
type eventSink interface {
	Write(buffers [][]byte) error
	Progress() uint64
	Finish(linger time.Duration)
	Close() error
}

func newEventConn(framing broker.EventFraming, remote string) *eventConn {
	c := &eventConn{framing: framing, remote: remote, begun: make(chan struct{}), finished: make(chan struct{})}
	c.finish = sync.OnceFunc(func() { close(c.finished) })
	return c
}

// begin writes what comes first, and lets the broker's follow.
func (c *eventConn) begin(sink eventSink, first []byte) {
	_ = sink.Write([][]byte{first}) // the next write fails too
	c.mu.Lock()
	c.sink = sink
	early := c.early
	c.mu.Unlock()
	close(c.begun)
	if early != nil {
		early(sink)
	}
}

func (c *eventConn) Framing() broker.Framing { return c.framing }

func (c *eventConn) RemoteAddr() string { return c.remote }

func (c *eventConn) Name() string { return nameEvents }

func (c *eventConn) Write(buffers [][]byte) error {
	select {
	case <-c.begun:
		return c.sink.Write(buffers)
	case <-c.finished:
		return net.ErrClosed
	}
}

// WriteNow implements [broker.ImmediateTransport].
func (c *eventConn) WriteNow(buffers [][]byte) int {
	select {
	case <-c.begun:
		if sink, ok := c.sink.(*conn); ok {
			return sink.WriteNow(buffers)
		}
	default:
	}
	return 0
}

// WritesNow implements [broker.ImmediateTransport]. It is not known yet what the
// connection can do.
func (c *eventConn) WritesNow() bool { return true }

// Progress implements [broker.ProgressTransport].
func (c *eventConn) Progress() uint64 {
	if sink := c.current(); sink != nil {
		return sink.Progress()
	}
	return 0
}

func (c *eventConn) Finish(linger time.Duration) {
	c.finish()
	if sink := c.currentOr(func(sink eventSink) { sink.Finish(linger) }); sink != nil {
		sink.Finish(linger)
	}
}

func (c *eventConn) Close() error {
	c.finish()
	if sink := c.currentOr(func(sink eventSink) { _ = sink.Close() }); sink != nil {
		return sink.Close()
	}
	return nil
}

// currentOr returns the sink. Where there is none yet, begin calls early with it.
func (c *eventConn) currentOr(early func(eventSink)) eventSink {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sink == nil {
		c.early = early
	}
	return c.sink
}

func (c *eventConn) current() eventSink {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sink
}

// eventReader throws away what the peer sends, until it has closed the connection.
type eventReader struct{ session *broker.Session }

func (eventReader) feed([]byte) error { return nil }

func (r eventReader) detach(err error) {
	if err == io.EOF {
		err = nil
	}
	r.session.Detach(err)
}

// response is the eventSink of HTTP/2, and of servers that do not give a connection
// away. Nothing of net/http's is used after end, which the handler calls before it
// returns: net/http takes the answer apart then.
type response struct {
	written atomic.Uint64
	writing sync.Mutex // held while writing, and taken before mu

	mu         sync.Mutex
	w          http.ResponseWriter // nil after end, which holds both locks
	controller *http.ResponseController
}

func (r *response) Write(buffers [][]byte) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.w == nil {
		return net.ErrClosed
	}
	for _, b := range buffers {
		for len(b) > 0 { // pieces show how far the client has come
			n, err := r.w.Write(b[:min(len(b), maxPiece)])
			r.written.Add(uint64(n))
			if err != nil {
				return err
			}
			b = b[n:]
		}
	}
	return r.controller.Flush()
}

func (r *response) Progress() uint64 { return r.written.Load() }

// Finish does nothing: the handler's return ends the answer.
func (r *response) Finish(time.Duration) {}

// Close ends a write that is under way.
func (r *response) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w == nil {
		return nil
	}
	return r.controller.SetWriteDeadline(time.Now())
}

// end waits for a write that is under way, and has none follow.
func (r *response) end() {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w = nil
}
