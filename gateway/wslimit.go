package gateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
)

var errWSMessage = errors.New("gateway: a WebSocket message is larger than the limit")

// limitedHijacker bounds the WebSocket messages of a connection that a library
// reads which has no such limit.
type limitedHijacker struct {
	http.ResponseWriter
	maxMessage int64
}

func (l *limitedHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err != nil {
		return c, rw, err
	}
	return &limitedConn{Conn: c, maxMessage: l.maxMessage}, rw, nil
}

// limitedConn reads the heads of the peer's frames (RFC 6455, 5.2) as they pass, and
// fails at the one that makes a message too large.
type limitedConn struct {
	net.Conn
	maxMessage int64
	message    int64  // bytes of the message so far
	skip       int64  // bytes of the frame that are to pass
	head       []byte // of the next frame, as far as it came
}

func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if c.skip > 0 {
			pass := min(c.skip, int64(len(rest)))
			c.skip -= pass
			rest = rest[pass:]
			continue
		}
		c.head, rest = append(c.head, rest[0]), rest[1:]
		if !c.frame() {
			return 0, errWSMessage
		}
	}
	return n, err
}

// frame takes a head that is whole, and reports whether the message may go on.
func (c *limitedConn) frame() bool {
	if len(c.head) < 2 {
		return true
	}
	size, mask := 2, 0
	length := int64(c.head[1] & 0x7f)
	if c.head[1]&0x80 != 0 {
		mask = 4
	}
	switch length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if len(c.head) < size+mask {
		return true
	}
	switch size {
	case 4:
		length = int64(binary.BigEndian.Uint16(c.head[2:]))
	case 10:
		length = int64(binary.BigEndian.Uint64(c.head[2:]) & (1<<63 - 1))
	}
	if opcode := c.head[0] & 0x0f; opcode < opClose {
		if opcode != 0 {
			c.message = 0
		}
		if length > c.maxMessage-c.message {
			return false
		}
		c.message += length
	}
	c.skip, c.head = length, c.head[:0]
	return true
}
