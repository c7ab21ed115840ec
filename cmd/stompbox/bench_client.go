package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/bench"
)

// benchClient is as light as can be, so that the broker gets the machine.
type benchClient struct {
	ws   *websocket.Conn
	r    *bufio.Reader
	body []byte
	buf  []byte
}

func (s *benchServer) dial(ctx context.Context) (*benchClient, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}, ReadBufferSize: 1024, WriteBufferSize: 1024, TLSClientConfig: s.tls}
	scheme := "ws"
	if s.tls != nil {
		scheme = "wss"
	}
	ws, _, err := dialer.DialContext(ctx, scheme+"://"+s.address+"/ws", http.Header{})
	if err != nil {
		return nil, err
	}
	c := &benchClient{ws: ws}
	if err := c.send(s.connectFrame()); err != nil {
		return nil, err
	}
	return c, c.expect(frames.CONNECTED)
}

func (c *benchClient) send(f *frames.Frame) error {
	c.buf = frames.Append(c.buf[:0], f, frames.V12)
	return c.ws.WriteMessage(websocket.TextMessage, c.buf)
}

func (c *benchClient) expect(command string) error {
	_, text, err := c.ws.ReadMessage()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(text, []byte(command+"\n")) {
		return fmt.Errorf("got %q in place of %s", text, command)
	}
	return nil
}

// subscribe subscribes as sub-0, with more headers, and returns when that is confirmed.
func (c *benchClient) subscribe(destination string, more ...string) error {
	pairs := append([]string{"id", "sub-0", "destination", destination, "receipt", "r"}, more...)
	if err := c.send(frames.New(frames.SUBSCRIBE, pairs...)); err != nil {
		return err
	}
	return c.expect(frames.RECEIPT)
}

func (c *benchClient) close() { _ = c.ws.Close() }

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
func (c *benchClient) publish(i, size int) error {
	c.fillBody(i, size)
	return c.send(&frames.Frame{Command: frames.SEND, Headers: frames.Headers{{Name: "destination", Value: benchTopic}}, Body: c.body})
}

// fillBody makes the body of message number i.
func (c *benchClient) fillBody(i, size int) {
	c.body = strconv.AppendInt(c.body[:0], int64(i), 10)
	c.body = append(c.body, ' ')
	for len(c.body) < size {
		c.body = append(c.body, 'x')
	}
}

// readSequence reads n messages, checks that they are 0 to n-1, and reports each.
func (c *benchClient) readSequence(n int, arrived func(i int)) error {
	for i := range n {
		if err := c.readOne(i); err != nil {
			return err
		}
		arrived(i)
	}
	return nil
}

// readOne reads the next WebSocket frame without allocating, and wants number i.
func (c *benchClient) readOne(i int) error {
	if c.r == nil {
		c.r = bufio.NewReaderSize(c.ws.NetConn(), 32<<10)
	}
	for {
		_ = c.ws.NetConn().SetReadDeadline(time.Now().Add(30 * time.Second))
		payload, err := readPayload(c.r)
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if done, err := checkNumber(payload, i); err != nil || done {
			return err
		}
	}
}

// readPayload returns the next WebSocket payload; it is valid until the next call.
func readPayload(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	length, skip := int(head[1]), 2
	if length == 126 {
		length, skip = int(head[2])<<8|int(head[3]), 4
	}
	if _, err := r.Discard(skip); err != nil {
		return nil, err
	}
	payload, err := r.Peek(length)
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(length)
	return payload, err
}

// checkNumber reports whether the payload is message i; a heart-beat is no message.
func checkNumber(payload []byte, i int) (bool, error) {
	if !bytes.HasPrefix(payload, []byte(frames.MESSAGE)) {
		if bytes.HasPrefix(payload, []byte(frames.ERROR)) {
			return false, fmt.Errorf("the broker says %q", payload)
		}
		return false, nil
	}
	if got := numberOf(payload); got != i {
		return false, fmt.Errorf("message %d came in place of %d: lost or out of order", got, i)
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
