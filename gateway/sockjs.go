package gateway

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/igm/sockjs-go/v3/sockjs"

	"github.com/stompbox/stompbox/broker"
)

// SockJSOptions make a [SockJS].
type SockJSOptions struct {
	// Prefix is the path that the handler is mounted at. Default /sockjs.
	Prefix string
	// AllowedOrigins are as for WebSockets.
	AllowedOrigins []string
	// HeartBeat is after how long of silence SockJS sends one of its own. Default 25 s.
	HeartBeat time.Duration
	// DisconnectDelay is after how long without a request of the client its session
	// ends. Default 5 s.
	DisconnectDelay time.Duration
	// ClientURL is where pages in iframes find sockjs-client, which only old browsers
	// need. Default none.
	ClientURL string
	// MaxMessage is the largest message or request body in bytes. Default as for WebSockets.
	MaxMessage int64
}

// WithDefaults returns o with the defaults in place of zeros, but for those that depend
// on the broker.
func (o SockJSOptions) WithDefaults() SockJSOptions {
	o.Prefix = cmp.Or(o.Prefix, "/sockjs")
	o.HeartBeat = cmp.Or(o.HeartBeat, 25*time.Second)
	o.DisconnectDelay = cmp.Or(o.DisconnectDelay, 5*time.Second)
	return o
}

// SockJS serves STOMP to clients of SockJS, over WebSocket, xhr-streaming,
// xhr-polling and eventsource. Their sessions are as any others; a body that is no
// valid UTF-8 arrives with replacement characters, as SockJS carries text.
type SockJS struct {
	broker     *broker.Broker
	handler    http.Handler
	prefix     string
	origins    []string
	maxMessage int64
	sessions   connTracker

	mu    sync.Mutex
	gates map[string]*gate // by SockJS session id
}

// NewSockJS returns a handler for the path of o.Prefix and all below it.
func NewSockJS(b *broker.Broker, o SockJSOptions) *SockJS {
	o = o.WithDefaults()
	o.MaxMessage = cmp.Or(o.MaxMessage, defaultMaxMessage(b))
	h := &SockJS{broker: b, prefix: o.Prefix, origins: o.AllowedOrigins, maxMessage: o.MaxMessage, gates: make(map[string]*gate)}
	options := sockjs.DefaultOptions
	options.HeartbeatDelay, options.DisconnectDelay, options.SockJSURL = o.HeartBeat, o.DisconnectDelay, o.ClientURL
	options.CheckOrigin = func(r *http.Request) bool { return originAllowed(r, o.AllowedOrigins) }
	options.WebsocketUpgrader = &websocket.Upgrader{
		ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: new(sync.Pool), HandshakeTimeout: 10 * time.Second,
		CheckOrigin: options.CheckOrigin,
	}
	options.WebsocketWriteTimeout = b.Limits().WriteTimeout
	options.DisableHtmlFile, options.DisableJSONP = true, true // they put the peer's text into pages
	h.handler = sockjs.NewHandler(o.Prefix, options, h.serve)
	return h
}

// Wait returns when all sessions have ended.
func (h *SockJS) Wait() { h.sessions.Wait() }

// receivers are the requests on which a session's messages travel to the client.
var receivers = map[string]bool{"xhr": true, "xhr_streaming": true, "eventsource": true, "websocket": true}

// ServeHTTP serves one request of a session, or what a client asks before one.
func (h *SockJS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !originAllowed(r, h.origins) {
		handshakeError(w, r, http.StatusForbidden, http.ErrNotSupported)
		return
	}
	if h.broker.Draining() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the server is shutting down", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxMessage)) // the library would take half of it for all
	if err != nil {
		http.Error(w, "the body is too large, or did not come whole", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	words := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, h.prefix), "/"), "/")
	if len(words) != 3 || !receivers[words[2]] {
		h.handler.ServeHTTP(w, r)
		return
	}
	if words[2] == "websocket" {
		w = &limitedHijacker{ResponseWriter: w, maxMessage: h.maxMessage}
	}
	g := h.gate(words[1])
	g.open()
	defer h.leave(words[1], g)
	h.handler.ServeHTTP(w, r)
	// The library forgets this request in a goroutine of its own. The answer ends when
	// this returns, and a client whose next request came before would be refused.
	time.Sleep(detachTime)
}

// detachTime is what that takes, and some more.
const detachTime = 2 * time.Millisecond

// gate is whether a session has a request on which messages can travel now. The
// library would keep without bounds what is sent between two polls.
type gate struct {
	mu      sync.Mutex
	changed *sync.Cond
	active  int
	users   int // requests, and the session
	closed  bool
}

func (h *SockJS) gate(id string) *gate {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.gates[id]
	if g == nil {
		g = new(gate)
		g.changed = sync.NewCond(&g.mu)
		h.gates[id] = g
	}
	g.users++
	return g
}

func (h *SockJS) release(id string, g *gate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(h.gates, id)
	}
}

func (h *SockJS) leave(id string, g *gate) {
	g.mu.Lock()
	g.active--
	g.mu.Unlock()
	h.release(id, g)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active++
	g.changed.Broadcast()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.changed.Broadcast()
}

// wait returns when messages can travel, and reports false once they never can again.
func (g *gate) wait() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.active == 0 && !g.closed {
		g.changed.Wait()
	}
	return !g.closed
}

// serve runs one session.
func (h *SockJS) serve(session sockjs.Session) {
	h.sessions.begin()
	defer h.sessions.end()
	g := h.gate(session.ID())
	defer h.release(session.ID(), g)
	c := &sockJSConn{session: session, gate: g, remote: session.Request().RemoteAddr}
	s, err := h.broker.Open(c)
	if err != nil {
		_ = session.Close(uint32(broker.ClosePolicy), err.Error())
		return
	}
	stop := context.AfterFunc(session.Context(), g.close)
	defer stop()
	for {
		text, err := session.Recv()
		if err != nil {
			s.Detach(nil)
			return
		}
		_ = s.Receive([]byte(text)) // after its end the rest is thrown away
	}
}

// sockJS is the framing of SockJS: text alone.
type sockJS struct{ plain }

// Close returns nothing: Finish closes.
func (sockJS) Close(broker.CloseCode, string) []byte { return nil }

// sockJSConn is a broker.Transport over a session of SockJS.
type sockJSConn struct {
	session sockjs.Session
	gate    *gate
	remote  string
}

func (c *sockJSConn) Framing() broker.Framing { return sockJS{} }

func (c *sockJSConn) RemoteAddr() string { return c.remote }

// Write waits for a request of the client, and sends all as one message: STOMP
// frames may share one.
func (c *sockJSConn) Write(buffers [][]byte) error {
	if !c.gate.wait() {
		return net.ErrClosed
	}
	return c.session.Send(string(bytes.Join(buffers, nil)))
}

// Finish closes with SockJS's word for a server that goes away.
func (c *sockJSConn) Finish(time.Duration) { _ = c.Close() }

func (c *sockJSConn) Close() error {
	c.gate.close()
	_ = c.session.Close(3000, "Go away!") // an error says that it is closed already
	return nil
}
