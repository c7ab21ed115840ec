package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// headerBytes is about how much memory a byte of a header takes that the HTTP server
	// parses, and headerLine what each header takes in addition: a line of three bytes has an
	// entry of a map and an allocation.
	headerBytes = 2
	headerLine  = 96
	// freeHeaders is how much memory of a request's headers does not count.
	freeHeaders = 8 << 10
	// What is encrypted has lines that are not seen. So each byte above the first ones, of which
	// the handshake has some, counts as if the lines were as short as can be.
	encryptedBytes = 20
	freeEncrypted  = 4 << 10
	// handshakeBytes is the same of a handshake: TLS keeps a message of it until it is complete.
	handshakeBytes = 3
)

// RequestListener has the headers of requests count from their first byte on, for the address
// that they come from: the HTTP server keeps them until they are complete, and takes twenty
// times the memory of headers that are short. What is encrypted by a listener above it counts as
// Encrypted. Where there is too much, the connection is not read for a while, and then it ends.
// GuardRequests has to be called for the server.
type RequestListener struct {
	net.Listener
	Broker    *broker.Broker
	Encrypted bool
	// Sessions says that no requests come, but sessions of a [TCP], which count what they receive:
	// only their handshakes count here.
	Sessions bool
	// Shared reports whether an address is a proxy's, whose requests are those of many clients.
	Shared func(remote string) bool
	// TLS, which may be nil, is called for a connection that begins with a TLS handshake where
	// nothing is Encrypted.
	TLS func(remote string)
}

// handshakeRecord is the first byte of a TLS handshake (RFC 8446, 5.1). Nothing else that comes
// begins with it.
const handshakeRecord = 0x16

// Accept implements [net.Listener].
func (l *RequestListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := &requestConn{Conn: c, listener: l}
	r.counts.Store(true)
	return r, nil
}

// requestConn is a connection of a RequestListener.
type requestConn struct {
	net.Conn
	listener *RequestListener
	counts   atomic.Bool // what is read is of headers
	begun    bool        // guarded as Read is: by its one caller
	streams  atomic.Bool // HTTP/2, where headers of one request at most are not complete

	mu          sync.Mutex       // guards the following
	arriving    *broker.Arriving // nil until there is something to count
	bytes, line int
}

// Raw returns the connection below.
func (c *requestConn) Raw() net.Conn { return c.Conn }

// Close implements [net.Conn].
func (c *requestConn) Close() error {
	err := c.Conn.Close()
	c.await(false)
	return err
}

// Read implements [net.Conn].
func (c *requestConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.begun {
		c.begun = true
		if l := c.listener; p[0] == handshakeRecord && !l.Encrypted && l.TLS != nil {
			l.TLS(c.RemoteAddr().String())
		}
	}
	if n > 0 && c.counts.Load() {
		if over := c.count(p[:n]); over != nil {
			return n, &net.OpError{Op: "read", Net: "tcp", Err: over} // which the server does not answer
		}
	}
	return n, err
}

func (c *requestConn) count(p []byte) error {
	c.mu.Lock()
	c.bytes += len(p)
	var memory int
	switch l := c.listener; {
	case l.Sessions:
		memory = (c.bytes - freeEncrypted) * handshakeBytes
	case l.Encrypted:
		memory = (c.bytes - freeEncrypted) * encryptedBytes
	default:
		c.line += bytes.Count(p, []byte("\n"))
		memory = c.bytes*headerBytes + c.line*headerLine - freeHeaders
	}
	if memory > 0 && c.arriving == nil {
		c.arriving = c.account()
	}
	a := c.arriving
	c.mu.Unlock()
	if memory <= 0 {
		return nil
	}
	err := a.Await(memory, c.counts.Load)
	if !c.counts.Load() { // meanwhile the request began, or the connection ended
		_ = a.Set(0)
	}
	return err
}

// account may wait for the header of a proxy.
func (c *requestConn) account() *broker.Arriving {
	remote := c.RemoteAddr().String()
	return c.listener.Broker.NewArriving(remote, c.listener.Shared != nil && c.listener.Shared(remote))
}

// await has what comes next be headers or, as a request is handled, no headers.
func (c *requestConn) await(headers bool) {
	headers = headers && !c.streams.Load()
	c.counts.Store(headers)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes, c.line = 0, 0; c.arriving != nil {
		_ = c.arriving.Set(0)
	}
}

// requestsOf returns the connection below one of an HTTP server that counts headers, or nil.
func requestsOf(c net.Conn) *requestConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	r, _ := c.(*requestConn)
	return r
}

type requestConnKey struct{}

// GuardRequests has an HTTP server of a RequestListener count the headers of requests while they
// are handled, too. It may be called once everything else about the server is set.
func GuardRequests(s *http.Server) {
	state, connContext, next := s.ConnState, s.ConnContext, s.Handler
	s.ConnState = func(c net.Conn, now http.ConnState) {
		if r := requestsOf(c); r != nil {
			switch now {
			case http.StateIdle:
				r.await(true)
			case http.StateClosed, http.StateHijacked:
				r.await(false)
			}
		}
		if state != nil {
			state(c, now)
		}
	}
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		if r := requestsOf(c); r != nil {
			ctx = context.WithValue(ctx, requestConnKey{}, r)
		}
		return ctx
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(requestConnKey{}).(*requestConn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if r.ProtoMajor > 1 {
			c.streams.Store(true)
		}
		c.await(false)
		if memory := headerMemory(r) - freeHeaders; memory > 0 {
			a := c.account()
			if err := a.Set(memory); err != nil {
				w.Header().Set("Connection", "close")
				var e *broker.Error
				if errors.As(err, &e) {
					err = problem.Of(e)
				}
				problem.Write(w, err)
				return
			}
			defer func() { _ = a.Set(0) }()
		}
		next.ServeHTTP(w, r)
	})
}

// headerMemory is about how much memory the headers of a request take.
func headerMemory(r *http.Request) int {
	n := len(r.RequestURI) * headerBytes
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + headerLine
		}
	}
	return n
}
