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

// Transport is one connection as a session writes to it. Write is called by one
// goroutine at a time; Finish and Close may be called at any time.
type Transport interface {
	// Framing says what a frame looks like on this connection.
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
	// Name is the kind of connection, such as "websocket", for logs and metrics. A
	// program has a few of them.
	Name() string
}

// ProgressTransport is a [Transport] that knows while a Write is under way whether its
// peer takes any of it. Without it a Write as a whole has [Limits.WriteTimeout].
type ProgressTransport interface {
	Transport
	// Progress returns a number that is another one whenever the peer has taken more
	// bytes since the last call. It must not block, and may be called at any time.
	Progress() uint64
}

// ImmediateTransport is a [Transport] to which a goroutine can write that must not wait.
type ImmediateTransport interface {
	Transport
	// WriteNow is Write for as much as the connection takes without blocking, of no
	// buffer to all, and returns how many bytes that was. An error shows at the next
	// Write.
	WriteNow(buffers [][]byte) int
	// WritesNow reports whether WriteNow is of any use on this connection.
	WritesNow() bool
}

// Certified is a [Transport] whose peer may have shown a certificate in TLS. Once bytes
// of the peer have come, Certificate returns it, or nil.
type Certified interface {
	Certificate() *auth.Certificate
}

// Framing turns STOMP frames into what one kind of connection carries. Values
// must be comparable: sessions with equal framings share encodings. It must be
// safe for concurrent use.
type Framing interface {
	// Frame appends a whole STOMP frame. Text says that it is valid UTF-8
	// without NULs in its body.
	Frame(dst, stomp []byte, text bool) []byte
	// HeartBeat returns an end of line as it travels. It must not be changed.
	HeartBeat() []byte
	// Ping returns a question that the peer answers by itself, or nil where
	// there is none. It must not be changed.
	Ping() []byte
	// Close returns the farewell, or nil where there is none.
	Close(code CloseCode, reason string) []byte
}
