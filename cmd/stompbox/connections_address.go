package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/problem"
)

// addressGate bounds the connections over HTTP that one address has open, most of which wait for
// their next request. Those that the sessions of the address are over do not count here: they
// are bounded as sessions. It is safe for concurrent use.
type addressGate struct {
	limit func() int // 0: none
	// shared reports whether an address is a proxy's, whose connections are those of many
	// clients.
	shared func(remote string) bool
	// refused counts and logs a connection that is refused.
	refused func(remote string)

	conns sync.Map // of *gatedConn, by net.Conn

	mu   sync.Mutex // guards the following
	open map[string]int
}

func newAddressGate(limit func() int, shared func(remote string) bool, refused func(remote string)) *addressGate {
	return &addressGate{limit: limit, shared: shared, refused: refused, open: make(map[string]int)}
}

// gatedConn is one connection.
type gatedConn struct {
	gate *addressGate
	over atomic.Bool // beyond the limit: it gets one answer at most

	mu      sync.Mutex // guards the following
	address string     // as what it counts; "" where it does not
	carries int        // requests that are sessions
	closed  bool
}

type gatedConnKey struct{}

// farOver is how many connections beyond the limit an address may have that get an answer.
const farOver = 16

// guard has a server count its connections. Where their address is in a header of the PROXY
// protocol, nothing waits for that.
func (g *addressGate) guard(proxied bool) func(*http.Server) {
	return func(s *http.Server) {
		state, connContext := s.ConnState, s.ConnContext
		s.ConnState = func(c net.Conn, now http.ConnState) {
			if now == http.StateClosed || now == http.StateHijacked {
				if gated, ok := g.conns.LoadAndDelete(c); ok {
					gated.(*gatedConn).end()
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
			gated := &gatedConn{gate: g}
			g.conns.Store(c, gated)
			if proxied {
				go gated.begin(c)
			} else {
				gated.begin(c)
			}
			return context.WithValue(ctx, gatedConnKey{}, gated)
		}
		s.Handler = g.answer(s.Handler)
	}
}

// begin counts a connection, and closes it where it is far beyond the limit.
func (c *gatedConn) begin(conn net.Conn) {
	remote := conn.RemoteAddr().String()
	if c.gate.shared(remote) {
		return
	}
	address := clientaddr.Network(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.address = address
	if c.carries > 0 {
		return
	}
	limit, open := c.gate.limit(), c.gate.add(address, 1)
	if limit <= 0 || open <= limit {
		return
	}
	c.over.Store(true)
	if open > limit+farOver {
		c.gate.refused(remote)
		_ = conn.Close()
	}
}

// end counts a connection no longer.
func (c *gatedConn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.address != "" && c.carries == 0 {
		c.gate.add(c.address, -1)
	}
}

// carry counts the requests of a connection that are sessions. While there is one, the connection
// is counted as a session alone.
func (c *gatedConn) carry(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.carries
	c.carries += n
	if c.address == "" || c.closed || was > 0 == (c.carries > 0) {
		return
	}
	if was == 0 {
		c.gate.add(c.address, -1)
	} else {
		c.gate.add(c.address, 1)
	}
}

func (g *addressGate) add(address string, n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := g.open[address] + n
	if open == 0 {
		delete(g.open, address)
	} else {
		g.open[address] = open
	}
	return open
}

// answer refuses what comes over connections that are beyond the limit.
func (g *addressGate) answer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(gatedConnKey{}).(*gatedConn)
		switch {
		case c == nil:
		case c.over.Load():
			w.Header().Set("Connection", "close")
			if answersAlways(r.URL.Path) {
				break
			}
			g.refused(r.RemoteAddr)
			p := problem.Coded(broker.CodeTooManySessions, fmt.Sprintf("your address has its limit of %d connections to this server", g.limit()))
			p.RetryAfter = refusedRetry
			problem.Write(w, p)
			return
		case isSession(r):
			c.carry(1)
			defer c.carry(-1)
		}
		next.ServeHTTP(w, r)
	})
}

// answersAlways reports whether a path is about the health of the node.
func answersAlways(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/metrics"
}

// isSession reports whether a request is a session for as long as it lasts, or is refused at
// once.
func isSession(r *http.Request) bool {
	if r.ContentLength != 0 {
		return false // it may wait for its body
	}
	if r.URL.Path == "/events" {
		return true
	}
	switch path.Base(r.URL.Path) {
	case "xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp":
		return strings.HasPrefix(r.URL.Path, "/sockjs/")
	}
	return false
}
