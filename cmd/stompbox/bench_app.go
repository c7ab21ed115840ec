package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/frames"
)

const benchApp = "/app/bench"

// benchRequests returns the 99th percentile in microseconds of requests that come at a
// fixed rate: each is counted from when it was due, so that a broker that falls behind
// shows it. One app server answers and acknowledges all of them.
func benchRequests(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	server, err := s.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer server.close()
	if err := server.subscribe(benchApp, "ack", "client-individual"); err != nil {
		return "", 0, err
	}
	var clients []*benchClient
	defer func() { closeAll(clients) }()
	for range o.connections {
		c, err := s.dial(ctx)
		if err != nil {
			return "", 0, err
		}
		clients = append(clients, c)
	}
	due := make([]time.Time, o.messages)
	took := make([]time.Duration, o.messages)
	failed := make(chan error, 2+len(clients))
	go func() { failed <- server.answerAll(0, o.messages) }()
	for i, c := range clients {
		go func() { failed <- c.readAnswers(i, len(clients), due, took) }()
	}
	cpu, start := s.cpu(), time.Now()
	for i := range due {
		due[i] = start.Add(time.Duration(i) * time.Second / time.Duration(o.rate))
	}
	if err := sendRequests(clients, o, due); err != nil {
		return "", 0, err
	}
	for range 1 + len(clients) {
		select {
		case err := <-failed:
			if err != nil {
				return "", 0, err
			}
		case <-ctx.Done():
			return "", 0, ctx.Err()
		}
	}
	all, used := time.Since(start), s.cpu()-cpu
	if err := oneMoreEach(server, clients, o); err != nil {
		return "", 0, err
	}
	at := percentiles(took)
	return fmt.Sprintf("app: %d requests of %d B from %d clients to one app server at %d/s: %.0f answered/s, p50 %.0f us, p99 %.0f us, most %.0f us, %.1f server CPU s per million, none lost",
		o.messages, o.size, o.connections, o.rate, float64(o.messages)/all.Seconds(), at(.5), at(.99), at(1), used.Seconds()/float64(o.messages)*1e6), at(.99), nil
}

// sendRequests sends what is due, from each client in turn.
func sendRequests(clients []*benchClient, o benchOptions, due []time.Time) error {
	for i := range due {
		if wait := time.Until(due[i]); wait > 0 {
			time.Sleep(wait)
		}
		if err := clients[i%len(clients)].request(i, o.size); err != nil {
			return err
		}
	}
	return nil
}

// request sends request number i.
func (c *benchClient) request(i, size int) error {
	c.fillBody(i, size)
	c.buf = fmt.Appendf(c.buf[:0], "SEND\ndestination:%s\nreply-to:/temp-queue/a\ncorrelation-id:%d\n\n%s\x00", benchApp, i, c.body)
	return c.write(c.buf)
}

// oneMoreEach sends one request more from each client. It has to be the next one that the app server
// gets, and its answer the next one that the client gets: none was repeated.
func oneMoreEach(server *benchClient, clients []*benchClient, o benchOptions) error {
	for i, c := range clients {
		if err := c.request(o.messages+i, o.size); err != nil {
			return err
		}
	}
	if err := server.answerAll(o.messages, len(clients)); err != nil {
		return err
	}
	for i, c := range clients {
		if err := c.readOne(o.messages + i); err != nil {
			return err
		}
	}
	return nil
}

// answerAll answers and acknowledges n requests, whose numbers are first or above. What has come
// together is answered together.
func (c *benchClient) answerAll(first, n int) error {
	c.enlarge(64 << 10)
	_ = c.ws.NetConn().SetReadDeadline(time.Time{})
	var out []byte
	for answered := 0; answered < n; {
		payload, err := c.next()
		if err != nil {
			return fmt.Errorf("the app server, after %d requests: %w", answered, err)
		}
		if !bytes.HasPrefix(payload, []byte(frames.MESSAGE)) {
			if len(payload) > 1 {
				return fmt.Errorf("the broker says %q", payload)
			}
			continue
		}
		if i := numberOf(payload); i < first {
			return fmt.Errorf("request %d came to the app server twice", i)
		}
		_, body, _ := bytes.Cut(payload, []byte("\n\n"))
		out = append(append(append(append(out, "SEND\ndestination:"...), headerOf(payload, "reply-to")...), "\ncorrelation-id:"...), headerOf(payload, "correlation-id")...)
		out = append(append(append(out, "\n\n"...), bytes.TrimRight(body, "\x00\n")...), 0)
		out = append(append(append(out, "ACK\nid:"...), headerOf(payload, "ack")...), "\n\n\x00"...)
		answered++
		if c.r.Buffered() == 0 || len(out) > 16<<10 || answered == n {
			if err := c.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}

// readAnswers notes how long each request of client first took; the clients send them round-robin.
func (c *benchClient) readAnswers(first, turn int, due []time.Time, took []time.Duration) error {
	c.enlarge(32 << 10)
	_ = c.ws.NetConn().SetReadDeadline(time.Time{})
	for left := (len(due) - first + turn - 1) / turn; left > 0; {
		payload, err := c.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(payload, []byte(frames.MESSAGE)) {
			if len(payload) > 1 {
				return fmt.Errorf("the broker says %q", payload)
			}
			continue
		}
		i, err := strconv.Atoi(string(headerOf(payload, "correlation-id")))
		failure := headerOf(payload, "error")
		if err != nil || len(failure) > 0 || numberOf(payload) != i || i >= len(due) || i%turn != first {
			return fmt.Errorf("a request was answered with %q", payload)
		}
		if took[i] != 0 {
			return fmt.Errorf("request %d was answered twice", i)
		}
		took[i] = time.Since(due[i])
		left--
	}
	return nil
}
