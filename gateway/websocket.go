package gateway

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
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
		HandshakeTimeout:  10 * time.Second,
		Subprotocols:      subprotocols,
		EnableCompression: options.Compression,
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
	if w.options.Compression && strings.Contains(r.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate") {
		framing = deflated{}
	}
	ws, err := w.upgrader.Upgrade(rw, r, nil)
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
		c.serve(&w.conns, &wsReader{session: s, framing: framing, max: w.options.MaxMessage})
		return
	}
	setControlHandlers(ws, s, framing)
	w.conns.Go(func() {
		s.Detach(readWebSocket(ws, s, framing, func(text bool, r io.Reader) error { return w.read(text, r, s) }))
	})
}

// RefusedOrigins is how many requests of pages were refused for their origin.
func (w *WebSocket) RefusedOrigins() int64 { return w.origins.count.Load() }

// Wait returns when all connections are closed.
func (w *WebSocket) Wait() { w.conns.Wait() }

// setControlHandlers has answers go through the session's outbox, which is all
// that writes to the connection.
func setControlHandlers(ws *websocket.Conn, s session, framing broker.Framing) {
	ws.SetPingHandler(func(data string) error {
		s.Touch()
		s.Push(appendWS(nil, opPong, []byte(data)))
		return nil
	})
	ws.SetPongHandler(func(string) error {
		s.Touch()
		return nil
	})
	ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = websocket.CloseNormalClosure
		}
		s.Leave(framing.Close(broker.CloseCode(code), ""))
		return nil
	})
}

// read handles one message. It holds a buffer only while the message is being read.
func (w *WebSocket) read(text bool, r io.Reader, s session) error {
	m := incoming{text: text, left: w.options.MaxMessage}
	return m.read(r, s)
}

// readWebSocket reads until the connection ends, and returns why it did.
func readWebSocket(ws *websocket.Conn, s session, framing broker.Framing, read func(text bool, r io.Reader) error) error {
	for {
		kind, r, err := ws.NextReader()
		if err == nil {
			err = read(kind == websocket.TextMessage, r)
		}
		if err == nil {
			continue
		}
		if wrong, ok := errors.AsType[*messageError](err); ok {
			s.Leave(framing.Close(wrong.code, wrong.reason))
			discard(ws.NetConn())
			return io.EOF
		}
		// A Close frame, whose answer is on its way, or the end of what the peer sends without one.
		if _, closed := errors.AsType[*websocket.CloseError](err); closed || errors.Is(err, io.ErrUnexpectedEOF) {
			return io.EOF
		}
		return err
	}
}

// messageError is what is wrong with a message, and with which code the connection ends.
type messageError struct {
	code   broker.CloseCode
	reason string
}

func (e *messageError) Error() string { return e.reason }

// incoming is one WebSocket message that is being read.
type incoming struct {
	text bool
	left int64 // bytes that it may still have, after it was inflated
	utf8 utf8Checker
}

func (m *incoming) read(r io.Reader, s session) error {
	buffer := readBuffers.Get().(*[16 << 10]byte)
	defer readBuffers.Put(buffer)
	for {
		n, err := r.Read(buffer[:])
		if wrong := m.write(buffer[:n], s); wrong != nil {
			return wrong
		}
		if err == io.EOF {
			return m.end()
		}
		if err != nil {
			return err
		}
	}
}

var (
	errTooBig  = &messageError{websocket.CloseMessageTooBig, "the WebSocket message is too large; split it, as STOMP.js does with splitLargeFrames"}
	errNotUTF8 = &messageError{websocket.CloseInvalidFramePayloadData, "a text message has to be UTF-8; send other bytes in a binary message"}
)

// write takes the next bytes of the message.
func (m *incoming) write(p []byte, s session) error {
	if m.left -= int64(len(p)); m.left < 0 {
		return errTooBig
	}
	if m.text && !m.utf8.write(p) {
		return errNotUTF8
	}
	if len(p) > 0 {
		_ = s.Receive(p) // after its end the rest is thrown away
	}
	return nil
}

// end is called when all of the message has come.
func (m *incoming) end() error {
	if m.text && !m.utf8.whole() {
		return errNotUTF8
	}
	return nil
}

// discard reads what a peer still sends whose session has ended, so that it can read the
// last frames: closing on unread bytes could discard them. The session's Finish bounds
// the time, and the connection ends after it.
func discard(c net.Conn) {
	buffer := readBuffers.Get().(*[16 << 10]byte)
	defer readBuffers.Put(buffer)
	for {
		if _, err := c.Read(buffer[:]); err != nil {
			return
		}
	}
}
