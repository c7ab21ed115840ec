package broker

import (
	"time"

	"github.com/stompbox/stompbox/auth"
)

// CloseCode says why the broker closes a connection; the numbers are those of
// WebSocket (RFC 6455, 7.4.1).
type CloseCode int

// The close codes that the broker uses.
const (
	CloseNormal   CloseCode = 1000
	CloseProtocol CloseCode = 1002
	ClosePolicy   CloseCode = 1008
	CloseRestart  CloseCode = 1012
	CloseRetry    CloseCode = 1013
)

// Transport is the writing side of a connection. Write is called by one goroutine at a time;
// Finish and Close may be called at any time.
type Transport interface {
	// Framing returns the encoding of frames on this connection.
	Framing() Framing
	// Write writes all of the buffers, in order. It may block. It must not
	// change or keep the bytes, which are shared between connections.
	Write(buffers [][]byte) error
	// Finish is called after the last Write of a session that the broker ends:
	// it ends the writing side, and reading within linger, so that the client
	// can read the last frames before the connection is closed.
	Finish(linger time.Duration)
	// Close ends the connection at once, and with it a Write or read under way.
	Close() error
	// RemoteAddr is the peer's address, for logs.
	RemoteAddr() string
	// Name is the kind of connection, such as "websocket", for logs and metrics. A program has
	// only a few kinds.
	Name() string
}

// ProgressTransport is a Transport that knows during a Write whether its peer accepts bytes. For
// other Transports, Limits.WriteTimeout applies to a Write as a whole.
type ProgressTransport interface {
	Transport
	// Progress returns a number that changes whenever the peer has accepted more bytes since the
	// last call. It must not block, and may be called at any time.
	Progress() uint64
}

// ImmediateTransport is a Transport that can be written to without blocking.
type ImmediateTransport interface {
	Transport
	// WriteNow writes as much as the connection accepts without blocking, from nothing to all
	// buffers, and returns the number of bytes. The next Write reports an error.
	WriteNow(buffers [][]byte) int
	// WritesNow reports whether WriteNow can write on this connection.
	WritesNow() bool
}

// Certified is a Transport whose peer may have presented a TLS client certificate. After the
// first bytes from the peer, Certificate returns it, or nil.
type Certified interface {
	Certificate() *auth.Certificate
}

// Framing encodes STOMP frames for one kind of connection. Values must be comparable: sessions
// with equal framings share encodings. It must be safe for concurrent use.
type Framing interface {
	// Frame appends a complete STOMP frame. If text is set, the frame is valid UTF-8 without NULs
	// in its body.
	Frame(dst, stomp []byte, text bool) []byte
	// HeartBeat returns the bytes of a heart-beat. The caller must not change them.
	HeartBeat() []byte
	// Ping returns the bytes of a ping that the peer answers automatically, or nil if there is
	// none. The caller must not change them.
	Ping() []byte
	// Close returns the bytes of a close frame, or nil if there is none.
	Close(code CloseCode, reason string) []byte
}
