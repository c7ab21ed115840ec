package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/bench"
)

// benchClient is as light as can be, so that the broker gets the machine. It has heart-beats
// both ways.
type benchClient struct {
	ws       *websocket.Conn
	r        *bufio.Reader // of what is below the WebSocket
	body     []byte
	buf      []byte
	writing  sync.Mutex
	beats    *beater
	beatPart int
}

// writeBuffers are shared, since few clients write at a time.
var writeBuffers sync.Pool

func (s *benchServer) dial(ctx context.Context) (*benchClient, error) {
	dialer := websocket.Dialer{
		Subprotocols: []string{"v12.stomp"}, ReadBufferSize: 1024, TLSClientConfig: s.tls,
		// A message is one frame.
		WriteBufferSize: 1024 + s.size, WriteBufferPool: &writeBuffers,
	}
	scheme := "ws"
	if s.tls != nil {
		scheme = "wss"
	}
	ws, _, err := dialer.DialContext(ctx, scheme+"://"+s.address+"/ws", http.Header{})
	if err != nil {
		return nil, err
	}
	c := &benchClient{ws: ws, r: bufio.NewReaderSize(ws.NetConn(), 1024), beats: &s.beats}
	s.beats.add(c)
	err = c.send(frames.New(frames.CONNECT, "accept-version", "1.2", "heart-beat", "10000,10000", "Authorization", "Bearer "+s.token))
	if err == nil {
		err = c.expect(frames.CONNECTED)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *benchClient) send(f *frames.Frame) error {
	c.buf = frames.Append(c.buf[:0], f, frames.V12)
	return c.write(c.buf)
}

func (c *benchClient) write(text []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.ws.WriteMessage(websocket.TextMessage, text)
}

// beat sends a heart-beat, which is superfluous while something else is written.
func (c *benchClient) beat() {
	if c.writing.TryLock() {
		defer c.writing.Unlock()
		_ = c.ws.WriteMessage(websocket.TextMessage, []byte("\n")) // who reads notices an error
	}
}

// expect reads the next frame of STOMP.
func (c *benchClient) expect(command string) error {
	_ = c.ws.NetConn().SetReadDeadline(time.Now().Add(time.Minute))
	for {
		text, err := c.next()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte(command+"\n")) {
			return nil
		}
		if len(text) > 1 { // no heart-beat
			return fmt.Errorf("got %q in place of %s", text[:min(len(text), 500)], command)
		}
	}
}

// subscribe subscribes as sub-0, with more headers, and returns when that is confirmed.
func (c *benchClient) subscribe(destination string, more ...string) error {
	pairs := append([]string{"id", "sub-0", "destination", destination, "receipt", "r"}, more...)
	if err := c.send(frames.New(frames.SUBSCRIBE, pairs...)); err != nil {
		return err
	}
	return c.expect(frames.RECEIPT)
}

// allConnected has each client show that it is still connected: what was measured counts all.
func allConnected(clients []*benchClient) error {
	for i, c := range clients {
		if err := c.send(frames.New(frames.UNSUBSCRIBE, "id", "sub-0", "receipt", "r")); err != nil {
			return fmt.Errorf("connection %d of %d: %w", i+1, len(clients), err)
		}
	}
	for i, c := range clients {
		if err := c.expect(frames.RECEIPT); err != nil {
			return fmt.Errorf("connection %d of %d: %w", i+1, len(clients), err)
		}
	}
	return nil
}

func (c *benchClient) close() {
	c.beats.remove(c)
	_ = c.ws.Close()
}

// benchTopic is where all benchmarks send.
const benchTopic = "/topic/bench.room"

// dialAll opens a publisher and n subscribers.
func (s *benchServer) dialAll(ctx context.Context, n int) (publisher *benchClient, subscribers []*benchClient, err error) {
	if subscribers, err = s.subscribers(ctx, n); err != nil {
		return nil, nil, err
	}
	if publisher, err = s.dial(ctx); err != nil {
		closeAll(subscribers)
	}
	return publisher, subscribers, err
}

// subscribers opens connections, some at a time, each subscribed to the topic of
// all benchmarks as sub-0.
func (s *benchServer) subscribers(ctx context.Context, n int) ([]*benchClient, error) {
	return s.subscribersOf(ctx, n, func(int) string { return benchTopic })
}

// subscribersOf is subscribers with the destination of each.
func (s *benchServer) subscribersOf(ctx context.Context, n int, destination func(i int) string) ([]*benchClient, error) {
	return bench.OpenAll(n, func(i int) (*benchClient, error) {
		c, err := s.dial(ctx)
		if err != nil {
			return nil, err
		}
		if err = c.subscribe(destination(i)); err == nil && s.opened != nil {
			s.opened(c)
		}
		return c, err
	}, (*benchClient).close)
}

func closeAll(all []*benchClient) { bench.CloseAll(all, (*benchClient).close) }

// publish sends message number i, whose body begins with the number.
func (c *benchClient) publish(i, size int) error { return c.publishTo(benchTopic, i, size) }

func (c *benchClient) publishTo(destination string, i, size int) error {
	c.fillBody(i, size)
	return c.send(&frames.Frame{Command: frames.SEND, Headers: frames.Headers{{Name: "destination", Value: destination}}, Body: c.body})
}

// fillBody makes the body of message number i.
func (c *benchClient) fillBody(i, size int) {
	c.body = strconv.AppendInt(c.body[:0], int64(i), 10)
	c.body = append(c.body, ' ')
	for len(c.body) < size {
		c.body = append(c.body, 'x')
	}
}

// readOne wants number i as the next message.
func (c *benchClient) readOne(i int) error {
	c.enlarge(32 << 10)
	return c.readNumber(i)
}

// readNumber is readOne with the buffer that there is.
func (c *benchClient) readNumber(i int) error {
	for {
		_ = c.ws.NetConn().SetReadDeadline(time.Now().Add(30 * time.Second))
		payload, err := c.next()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if done, err := checkNumber(payload, i); err != nil || done {
			return err
		}
	}
}

// enlarge has reads take up to so many bytes at once.
func (c *benchClient) enlarge(size int) {
	if c.r.Size() < size {
		c.r = bufio.NewReaderSize(c.r, size) // what the smaller one has comes first
	}
}

// next reads the next WebSocket frame without allocating, and returns its payload, which is valid
// until the next call.
func (c *benchClient) next() ([]byte, error) {
	head, err := c.r.Peek(2)
	if err != nil {
		return nil, err
	}
	length := uint64(head[1])
	skip := 2
	switch length {
	case 126:
		if head, err = c.r.Peek(4); err == nil {
			length, skip = uint64(binary.BigEndian.Uint16(head[2:])), 4
		}
	case 127:
		if head, err = c.r.Peek(10); err == nil {
			length, skip = binary.BigEndian.Uint64(head[2:]), 10
		}
	}
	if err != nil {
		return nil, err
	}
	if length > 2*frames.DefaultMaxBody {
		return nil, fmt.Errorf("a WebSocket frame has %d bytes", length)
	}
	if _, err := c.r.Discard(skip); err != nil {
		return nil, err
	}
	if int(length) > c.r.Size() {
		c.enlarge(1 << bits.Len64(length))
	}
	payload, err := c.r.Peek(int(length))
	if err != nil {
		return nil, err
	}
	_, err = c.r.Discard(int(length))
	return payload, err
}

// checkNumber reports whether the payload is message i; a heart-beat is no message.
func checkNumber(payload []byte, i int) (bool, error) {
	if !bytes.HasPrefix(payload, []byte(frames.MESSAGE)) {
		if bytes.HasPrefix(payload, []byte(frames.ERROR)) {
			return false, fmt.Errorf("the broker says %q", payload[:min(len(payload), 500)])
		}
		return false, nil
	}
	if got := numberOf(payload); got != i {
		return false, fmt.Errorf("message %d came in place of %d: lost, repeated or out of order", got, i)
	}
	return true, nil
}

// numberOf returns which message a MESSAGE frame is: its body begins with that.
func numberOf(payload []byte) int {
	_, body, _ := bytes.Cut(payload, []byte("\n\n"))
	number, _, _ := bytes.Cut(body, []byte(" "))
	n := 0
	for _, d := range number {
		n = n*10 + int(d-'0')
	}
	return n
}

// headerOf returns the value of a header as it travels.
func headerOf(payload []byte, name string) []byte {
	_, value, _ := bytes.Cut(payload, []byte("\n"+name+":"))
	value, _, _ = bytes.Cut(value, []byte("\n"))
	return value
}

// window counts which messages have reached all subscribers.
type window struct {
	subscribers int64
	counts      []atomic.Int64
	wake        chan struct{}
}

func newWindow(subscribers, messages int) *window {
	return &window{subscribers: int64(subscribers), counts: make([]atomic.Int64, messages), wake: make(chan struct{}, 1)}
}

func (w *window) arrived(i int) {
	if w.counts[i].Add(1) == w.subscribers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// waitFor returns when message i has reached all.
func (w *window) waitFor(ctx context.Context, i int) error {
	for i >= 0 && w.counts[i].Load() < w.subscribers {
		select {
		case <-w.wake:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
