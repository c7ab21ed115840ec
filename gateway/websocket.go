package gateway

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/problem"
)

// subprotocols are offered in the order of preference.
var subprotocols = []string{"v12.stomp", "v11.stomp", "v10.stomp"}

// WebSocketOptions configure a WebSocket. The zero value is ready for use.
type WebSocketOptions struct {
	// AllowedOrigins are the origins of pages that may connect, in addition to those of the same
	// host: "https://app.example", "null", "file://", [LoopbackOrigins] or "*".
	AllowedOrigins []string
	// MaxMessage is the largest WebSocket message in bytes; it may hold many
	// STOMP frames. Default four times the largest body, and at least 1 MiB.
	MaxMessage int64
	// Compression offers permessage-deflate. It costs CPU and, per connection,
	// memory while messages are read.
	Compression bool
	// Logger reports pages that were refused. Default slog.Default.
	Logger *slog.Logger
}

// WebSocket is an http.Handler that serves STOMP over WebSocket.
type WebSocket struct {
	broker   *broker.Broker
	options  WebSocketOptions
	upgrader websocket.Upgrader
	allowed  allowedOrigins
	conns    connTracker
	origins  *originLog
}

// noWriteBuffers makes the upgrader keep no write buffer per connection: the
// outbox writes ready-made frames to the connection itself.
type noWriteBuffers struct{}

func (noWriteBuffers) Get() any { return nil }
func (noWriteBuffers) Put(any)  {}

// NewWebSocket returns a handler of STOMP over WebSocket for the mux of the embedding program.
// Serve it on a path such as /ws. After the broker is shut down, use Wait to wait for its
// connections.
func NewWebSocket(b *broker.Broker, options WebSocketOptions) *WebSocket {
	options.MaxMessage = cmp.Or(options.MaxMessage, defaultMaxMessage(b))
	w := &WebSocket{broker: b, options: options, origins: newOriginLog(options.Logger)}
	w.allowed.set(options.AllowedOrigins)
	w.upgrader = websocket.Upgrader{
		ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: noWriteBuffers{},
		HandshakeTimeout: 10 * time.Second,
		Subprotocols:     subprotocols,
		CheckOrigin: func(r *http.Request) bool {
			allowed := originAllowed(r, w.allowed.list())
			if !allowed {
				w.origins.refused(r)
			}
			return allowed
		},
		Error: handshakeError,
	}
	return w
}

// SetAllowedOrigins replaces [WebSocketOptions.AllowedOrigins], for requests from now on. It is
// safe for concurrent use.
func (w *WebSocket) SetAllowedOrigins(origins []string) { w.allowed.set(origins) }

// defaultMaxMessage holds several frames.
func defaultMaxMessage(b *broker.Broker) int64 { return max(4*int64(b.Limits().Frame.MaxBody), 1<<20) }

func handshakeError(w http.ResponseWriter, r *http.Request, status int, reason error) {
	p := problem.New(status, reason.Error())
	switch {
	case status == http.StatusForbidden:
		p = problem.Coded(problem.CodeOrigin, "origin "+problem.Truncate(r.Header.Get("Origin"))+" is not allowed; add it to http.allowed_origins")
	case !websocket.IsWebSocketUpgrade(r):
		p.Detail = "this is a STOMP over WebSocket endpoint; connect with a STOMP client such as STOMP.js"
	}
	problem.Write(w, p)
}

// ServeHTTP upgrades the request and serves the session in a new goroutine. The goroutine of
// net/http has a larger stack, which idle connections would keep.
func (w *WebSocket) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if w.broker.Draining() {
		p := problem.Coded(broker.CodeShutdown, "the server is shutting down; connect again")
		p.RetryAfter = time.Second
		problem.Write(rw, p)
		return
	}
	var framing broker.Framing = webSocket{}
	upgrader := w.upgrader
	if w.options.Compression && offersDeflate(r.Header) {
		framing, upgrader.EnableCompression = deflated{}, true
		r = r.Clone(r.Context())
		r.Header.Set("Sec-Websocket-Extensions", deflateExtension) // so that the upgrader agrees to it, too
	}
	ws, err := upgrader.Upgrade(rw, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := newConn(ws.NetConn(), framing, r.RemoteAddr, vanishedAfter(w.broker, w.broker.Limits().IdleTimeout))
	s, err := w.broker.Open(c)
	if err != nil {
		refuseConn(c, err)
		return
	}
	if framing == (webSocket{}) {
		c.serve(&w.conns, newPlainReader(s, framing, w.options.MaxMessage))
		return
	}
	c.serve(&w.conns, newDeflatedReader(s, framing, w.options.MaxMessage))
}

// RefusedOrigins is how many requests of pages were refused for their origin.
func (w *WebSocket) RefusedOrigins() int64 { return w.origins.count.Load() }

// Wait returns when all connections are closed.
func (w *WebSocket) Wait() { w.conns.Wait() }
