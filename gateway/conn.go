package gateway

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
)

// conn is a broker.Transport over a network connection.
type conn struct {
	net.Conn
	framing broker.Framing
	remote  string // the client's address where it is another than the connection's
}

func (c *conn) Framing() broker.Framing { return c.framing }

func (c *conn) RemoteAddr() string { return cmp.Or(c.remote, c.Conn.RemoteAddr().String()) }

// Names of transports, as logs and metrics have them.
const (
	nameWebSocket = "websocket"
	nameTCP       = "tcp"
	nameEvents    = "events"
	nameSockJS    = "sockjs"
)

func (c *conn) Name() string {
	switch c.framing.(type) {
	case plain:
		return nameTCP
	case sockJSWebSocket:
		return nameSockJS
	}
	return nameWebSocket
}

// wrapper is a connection that reads something of its own first, such as the header of
// the PROXY protocol. What is written goes to the connection below.
type wrapper interface{ Raw() net.Conn }

// tlsRecord is how much is written to TLS at a time: a record each.
const tlsRecord = 16 << 10

// Write writes with one writev where the connection is plain. TLS would make a
// record of each buffer, so small ones are gathered first.
func (c *conn) Write(buffers [][]byte) error {
	if len(buffers) == 1 {
		_, err := c.Conn.Write(buffers[0])
		return err
	}
	vectors := net.Buffers(buffers)
	var err error
	switch below := c.Conn.(type) {
	case *net.TCPConn:
		_, err = vectors.WriteTo(below)
	case *tls.Conn:
		err = c.writeGathered(buffers)
	case wrapper:
		_, err = vectors.WriteTo(below.Raw())
	default:
		_, err = vectors.WriteTo(below)
	}
	return err
}

func (c *conn) writeGathered(buffers [][]byte) error {
	gathered := make([]byte, 0, tlsRecord)
	for _, b := range buffers {
		if len(gathered) > 0 && len(gathered)+len(b) > tlsRecord {
			if _, err := c.Conn.Write(gathered); err != nil {
				return err
			}
			gathered = gathered[:0]
		}
		gathered = append(gathered, b...)
	}
	_, err := c.Conn.Write(gathered)
	return err
}

// Finish ends the writing side, so that the peer can read what was written
// before the reader closes the connection: closing at once could discard it.
func (c *conn) Finish(linger time.Duration) {
	_ = c.SetReadDeadline(time.Now().Add(linger))
	below := c.Conn
	if w, ok := below.(wrapper); ok {
		below = w.Raw()
	}
	if half, ok := below.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// refuseConn writes why no session was opened, and closes the connection. It does not
// wait for a peer that reads nothing: what is written is small.
func refuseConn(c *conn, err error) {
	_ = c.SetDeadline(time.Now().Add(refuseTimeout))
	code, reason := broker.CloseRetry, err.Error()
	var e *broker.Error
	if errors.As(err, &e) {
		code, reason = e.CloseCode(), e.CloseReason()
		_, _ = c.Conn.Write(c.framing.Frame(nil, frames.Append(nil, e.Frame(), frames.V10), true))
	}
	if last := c.framing.Close(code, reason); last != nil {
		_, _ = c.Conn.Write(last)
	}
	c.Finish(refuseTimeout)
	_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, maxRefused)) // closing on unread bytes could discard what was written
	_ = c.Close()
}

const (
	// refuseTimeout bounds the last words to a connection that is refused, and maxRefused
	// the bytes that are read of it.
	refuseTimeout = time.Second
	maxRefused    = 64 << 10
)
