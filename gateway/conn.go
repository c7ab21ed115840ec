package gateway

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
)

// conn is a broker.Transport over a network connection.
type conn struct {
	net.Conn
	framing broker.Framing
	remote  string // the client's address where it is another than the connection's
	socket  socket
	reading reading

	certificateName auth.CertificateName // "": its certificate is no credential
}

// newConn returns the transport of a connection. Remote is the client's address where
// that may be another than the connection's, or "". Vanished is after how long a peer is
// given up whose system does not answer any more; 0 leaves that to the operating system.
func newConn(nc net.Conn, framing broker.Framing, remote string, vanished time.Duration) *conn {
	if r, ok := nc.(*requestConn); ok {
		nc = r.Conn // there are no more requests
	}
	c := &conn{Conn: nc, framing: framing}
	if remote != "" && remote != nc.RemoteAddr().String() {
		c.remote = remote // of a client behind a proxy
	}
	below, plain := lowest(nc)
	c.socket.init(below, plain)
	c.socket.tune(vanished)
	return c
}

// vanishedAfter returns after how long a peer is given up that is quiet for no longer than
// d while all is well. One that is there and reads nothing has the time for writes.
func vanishedAfter(b *broker.Broker, d time.Duration) time.Duration {
	if limit := b.Limits().WriteTimeout; d > 0 && limit > 0 {
		return max(d, limit)
	}
	return 0
}

// HTTP2Config returns settings for http.Server.HTTP2 that close the connection of a client that
// has vanished or accepts no data. The end of a session cannot close it, because others may share
// it.
func HTTP2Config(b *broker.Broker) *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter, WriteByteTimeout: 2 * max(min(b.Limits().WriteTimeout, maxWriteTimeout), 0)}
}

// pingAfter is after how long of silence a peer of HTTP/2 is asked whether it is there,
// and how long it may take to answer.
const pingAfter = 15 * time.Second

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

// Progress implements [broker.ProgressTransport].
func (c *conn) Progress() uint64 { return c.socket.progress() }

// wrapper is a connection that reads something of its own first, such as the header of
// the PROXY protocol. What is written goes to the connection below.
type wrapper interface{ Raw() net.Conn }

// lowest returns the connection below all others, and whether what is written to c goes
// to it as it is.
func lowest(c net.Conn) (below net.Conn, plain bool) {
	for plain = true; ; {
		switch outer := c.(type) {
		case *tls.Conn:
			c, plain = outer.NetConn(), false
		case wrapper:
			c = outer.Raw()
		default:
			return c, plain
		}
	}
}

// maxPiece is how much is written to TLS at a time, a record each, and to whatever else
// does not tell how much its peer has taken.
const maxPiece = 16 << 10

// Write writes with one writev where the connection is plain. TLS would make a
// record of each buffer, so small ones are gathered first.
func (c *conn) Write(buffers [][]byte) error {
	if c.socket.writable() {
		return c.socket.write(buffers)
	}
	return c.writeGathered(buffers)
}

// WriteNow implements [broker.ImmediateTransport].
func (c *conn) WriteNow(buffers [][]byte) int { return c.socket.writeNow(buffers) }

// WritesNow implements [broker.ImmediateTransport].
func (c *conn) WritesNow() bool { return c.socket.writesNow() }

// pieces are the buffers of writeGathered: to make one takes longer than to encrypt it.
var pieces = sync.Pool{New: func() any { b := make([]byte, 0, maxPiece); return &b }}

func (c *conn) writeGathered(buffers [][]byte) error {
	if len(buffers) == 1 {
		return c.writePieces(buffers[0])
	}
	pooled := pieces.Get().(*[]byte)
	defer pieces.Put(pooled)
	gathered := *pooled // it stays empty, so nothing is kept
	for _, b := range buffers {
		if len(gathered)+len(b) > maxPiece {
			if err := c.writePieces(gathered); err != nil {
				return err
			}
			gathered = gathered[:0]
		}
		if len(b) > maxPiece {
			if err := c.writePieces(b); err != nil {
				return err
			}
			continue
		}
		gathered = append(gathered, b...)
	}
	return c.writePieces(gathered)
}

// writePieces counts what the connection has taken as it goes.
func (c *conn) writePieces(b []byte) error {
	for len(b) > 0 {
		n, err := c.Conn.Write(b[:min(len(b), maxPiece)])
		c.socket.written.Add(uint64(n))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Finish ends the writing side, so that the peer can read what was written
// before the reader closes the connection: closing at once could discard it.
func (c *conn) Finish(linger time.Duration) {
	c.reading.finish(c, time.Now().Add(linger))
	below := c.Conn
	for {
		outer, ok := below.(wrapper)
		if !ok {
			break
		}
		below = outer.Raw()
	}
	if half, ok := below.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// Close ends the connection, and what reads it.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.reading.wake(c)
	return err
}

// refuseConn writes why no session was opened, and closes the connection. It does not
// wait for a peer that reads nothing: what is written is small.
func refuseConn(c *conn, err error) {
	defer refusing.Add(-1)
	hurried := refusing.Add(1) > maxRefusing // no descriptor is spent on waiting
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
	if hurried {
		_ = c.Close()
		return
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
	// maxRefusing is how many connections are refused at a time whose peers have time to
	// read why.
	maxRefusing = 16
)

// refusing is how many connections are being refused.
var refusing atomic.Int64

// Certificate is what the peer has shown, and the listener verified.
func (c *conn) Certificate() *auth.Certificate {
	encrypted, ok := c.Conn.(*tls.Conn)
	if !ok || c.certificateName == "" {
		return nil
	}
	chains := encrypted.ConnectionState().VerifiedChains
	if len(chains) == 0 {
		return nil
	}
	return &auth.Certificate{Name: c.certificateName.Of(chains[0][0]), Chain: chains[0]}
}
