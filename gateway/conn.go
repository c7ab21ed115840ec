package gateway

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/stompbox/stompbox/broker"
)

// conn is a broker.Transport over a network connection.
type conn struct {
	net.Conn
	framing broker.Framing
}

func (c *conn) Framing() broker.Framing { return c.framing }

func (c *conn) RemoteAddr() string { return c.Conn.RemoteAddr().String() }

// tlsRecord is how much is written to TLS at a time: a record each.
const tlsRecord = 16 << 10

// Write writes with one writev where the connection is plain. TLS would make a
// record of each buffer, so small ones are gathered first.
func (c *conn) Write(buffers [][]byte) error {
	if len(buffers) == 1 {
		_, err := c.Conn.Write(buffers[0])
		return err
	}
	if _, ok := c.Conn.(*tls.Conn); ok {
		return c.writeGathered(buffers)
	}
	vectors := net.Buffers(buffers)
	_, err := vectors.WriteTo(c.Conn)
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
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
