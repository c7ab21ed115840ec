package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// sseClient reads a stream of events with as little as can be.
type sseClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func (s *benchServer) dialEvents(ctx context.Context) (*sseClient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	c := &sseClient{conn: conn}
	_, err = fmt.Fprintf(conn, "GET /events?destination=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", benchTopic, s.address, s.token)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 1024)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("the stream did not begin: %q %w", line, err)
		}
		if bytes.HasPrefix(line, []byte("event: connected")) {
			break
		}
	}
	for range 2 { // its data, and its end
		if _, err := r.ReadSlice('\n'); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s *benchServer) streams(ctx context.Context, n int) ([]*sseClient, error) {
	all := make([]*sseClient, 0, n)
	for range n {
		c, err := s.dialEvents(ctx)
		if err != nil {
			closeStreams(all)
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeStreams(all []*sseClient) {
	for _, c := range all {
		_ = c.conn.Close()
	}
}

// readOne wants number i as the next event. A long one is read in parts.
func (c *sseClient) readOne(i int) error {
	if c.r == nil {
		c.r = bufio.NewReaderSize(c.conn, 32<<10)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for rest := false; ; {
		line, err := c.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("message %d: %w", i, err)
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if ok && !rest {
			number, _, _ := bytes.Cut(data, []byte(" "))
			if got, _ := strconv.Atoi(string(number)); got != i {
				return fmt.Errorf("message %d came in place of %d: lost, repeated or out of order", got, i)
			}
			return c.skipLine(err)
		}
		rest = err != nil
	}
}

// skipLine reads the rest of a line whose begin was read with an error.
func (c *sseClient) skipLine(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = c.r.ReadSlice('\n')
	}
	return err
}

// benchEvents returns what a delivery to a stream of events costs, as the ratio to
// one to a WebSocket, and says what an idle stream takes.
func benchEvents(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	_, webSocket, err := benchFanout(ctx, s, o)
	if err != nil {
		return "", 0, err
	}
	own, err := s.another(ctx) // none inherits memory
	if err != nil {
		return "", 0, err
	}
	defer own.stop()
	before := own.rss()
	streams, err := own.streams(ctx, o.connections)
	if err != nil {
		return "", 0, err
	}
	defer closeStreams(streams)
	if err := pause(ctx, 8*time.Second); err != nil { // garbage of the requests is collected and given back
		return "", 0, err
	}
	idle := float64(own.rss()-before) / 1024 / float64(o.connections)
	publisher, err := own.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer publisher.close()
	_, cpu, err := fanOut(ctx, o, publisher, streams, own)
	if err != nil {
		return "", 0, err
	}
	events := o.perMillion(cpu[0])
	return fmt.Sprintf("sse: %d streams, %d messages of %d B, %d in flight: %.2f server CPU s per million deliveries, to WebSockets %.2f: ratio %.2f; %.1f KB RSS an idle stream; none lost, in order",
		o.connections, o.messages, o.size, o.inFlight, events, webSocket, events/webSocket, idle), events / webSocket, nil
}
