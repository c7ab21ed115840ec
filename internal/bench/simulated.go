package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker"
)

// webSocket frames as servers send them, so that a simulated session is sent the bytes
// that a WebSocket would be.
type webSocket struct{}

const (
	finText  = 0x81
	finClose = 0x88
)

var (
	heartBeat = []byte{finText, 1, '\n'}
	ping      = []byte{0x89, 0}
)

func (webSocket) Frame(dst, stomp []byte, _ bool) []byte {
	dst = append(dst, finText)
	if n := len(stomp); n <= 125 {
		dst = append(dst, byte(n))
	} else {
		dst = append(dst, 126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	return append(dst, stomp...)
}

func (webSocket) HeartBeat() []byte { return heartBeat }

func (webSocket) Ping() []byte { return ping }

func (webSocket) Close(code broker.CloseCode, _ string) []byte {
	return binary.BigEndian.AppendUint16([]byte{finClose, 2}, uint16(code))
}

// seen counts what all simulated clients were sent.
type seen struct {
	connected, receipts, messages, beats atomic.Int64
	wrong                                atomic.Pointer[string] // the first thing that should not have come
}

func (s *seen) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.wrong.CompareAndSwap(nil, &text)
}

// client is a simulated client: what the broker writes to it is checked and counted, and
// nothing waits anywhere.
type client struct {
	seen    *seen
	session atomic.Pointer[broker.Session]
	number  int32
	next    int32 // number of the next message
}

var _ broker.ImmediateTransport = (*client)(nil)

func (c *client) Framing() broker.Framing { return webSocket{} }

func (c *client) Write(buffers [][]byte) error {
	for _, b := range buffers {
		c.look(b)
	}
	return nil
}

func (c *client) WriteNow(buffers [][]byte) int {
	n := 0
	for _, b := range buffers {
		c.look(b)
		n += len(b)
	}
	return n
}

func (c *client) WritesNow() bool { return true }

func (c *client) Finish(time.Duration) {}

func (c *client) Close() error { return nil }

// RemoteAddr is another one for each client: no quota of an address is in the way.
func (c *client) RemoteAddr() string {
	return fmt.Sprintf("10.%d.%d.%d:4000", byte(c.number>>16), byte(c.number>>8), byte(c.number))
}

func (c *client) Name() string { return "websocket" }

var (
	message   = []byte("MESSAGE\n")
	connected = []byte("CONNECTED\n")
	receipt   = []byte("RECEIPT\n")
	endOfHead = []byte("\n\n")
)

// look checks one frame: messages have consecutive numbers, and no ERROR comes.
func (c *client) look(frame []byte) {
	payload := frame[2:]
	if frame[1] == 126 {
		payload = frame[4:]
	}
	switch {
	case bytes.HasPrefix(payload, message):
		_, body, _ := bytes.Cut(payload, endOfHead)
		if got := number(body); got != c.next {
			c.seen.complain("client %d was sent message %d in place of %d", c.number, got, c.next)
		}
		c.next++
		c.seen.messages.Add(1)
	case bytes.HasPrefix(payload, connected):
		c.seen.connected.Add(1)
	case bytes.HasPrefix(payload, receipt):
		c.seen.receipts.Add(1)
	case len(payload) == 1:
		c.seen.beats.Add(1)
	case frame[0] == ping[0]:
	default:
		c.seen.complain("client %d was sent %q", c.number, payload)
	}
}

// number reads the digits that a body begins with.
func number(body []byte) int32 {
	n := int32(0)
	for _, d := range body {
		if d < '0' || d > '9' {
			break
		}
		n = n*10 + int32(d-'0')
	}
	return n
}
