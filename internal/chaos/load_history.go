package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// follow reads a destination of a history as pages do: when its connection ends it comes
// back, to any node, with the last id that it read.
func (c *client) follow(dest, pattern string, trimmed bool) {
	r := c.ledger.newReader(c.name, follower, pattern)
	r.trimmed = trimmed
	last, reported := "", false // reported: a RECEIPT said that something before the next message is gone
	for c.reading.Err() == nil {
		l := c.elsewhere(c.reading)
		if l == nil {
			return
		}
		c.ledger.connected(r, l.node)
		pairs := []string{"id", "s", "destination", dest, "receipt", "subscribed"}
		if last != "" {
			pairs = append(pairs, "last-event-id", last)
		}
		err := c.readFor(l, 3*time.Second+c.upTo(40*time.Second), pairs, func(f *frames.Frame) error {
			incomplete := f.Get("replay") == "incomplete"
			if f.Command == frames.RECEIPT { // the past ends here
				if place := f.Get("last-event-id"); place != "" {
					last = place
				}
				reported = reported || incomplete
				c.ledger.subscribed(r)
				return nil
			}
			last = f.Get("message-id")
			c.ledger.deliver(r, string(f.Body), last, false, incomplete || reported)
			reported = false
			return nil
		})
		c.ledger.disconnected(r, errorText(err))
		l.close()
		sleep(c.reading, c.upTo(500*time.Millisecond))
	}
}

// readFor subscribes, and handles what comes for some time. A client that has read nothing
// has no place yet, and stays.
func (c *client) readFor(l *link, lasts time.Duration, pairs []string, handle func(*frames.Frame) error) error {
	until, cancel := context.WithTimeout(c.reading, lasts)
	defer cancel()
	stop := context.AfterFunc(until, l.close)
	defer stop()
	if err := l.send(frames.SUBSCRIBE, pairs...); err != nil {
		return err
	}
	for {
		f, err := l.next()
		switch {
		case until.Err() != nil:
			return errors.New("it left")
		case err != nil:
			return err
		case f.Command == frames.ERROR:
			return errorFrame(f)
		}
		if err := handle(f); err != nil {
			return err
		}
	}
}

// subscribeDurably has the broker remember what this client did not read.
func (c *client) subscribeDurably(topic string) {
	r := c.ledger.newReader(c.name, durable, topic)
	for c.reading.Err() == nil {
		l := c.elsewhere(c.reading)
		if l == nil {
			return
		}
		c.ledger.connected(r, l.node)
		pairs := []string{"id", "durable", "destination", topic, "durable", "true", "auto-delete", "false", "ack", "client-individual", "receipt", "subscribed"}
		err := c.readFor(l, 3*time.Second+c.upTo(40*time.Second), pairs, func(f *frames.Frame) error {
			if f.Command == frames.RECEIPT {
				c.ledger.subscribed(r)
				return nil
			}
			c.ledger.deliver(r, string(f.Body), f.Get("message-id"), f.Get("redelivered") == "true", f.Get("replay") == "incomplete")
			return l.send(frames.ACK, "id", f.Get("ack"))
		})
		c.ledger.disconnected(r, errorText(err))
		l.close()
		sleep(c.reading, c.upTo(500*time.Millisecond))
	}
}

// readEvents follows a topic as a browser's EventSource does.
func (c *client) readEvents(topic string) {
	r := c.ledger.newReader(c.name, follower, topic)
	last := ""
	for c.reading.Err() == nil {
		node := c.random.IntN(nodeCount)
		c.ledger.connected(r, node)
		until, cancel := context.WithTimeout(c.reading, 3*time.Second+c.upTo(40*time.Second))
		err := c.readStream(until, r, node, topic, &last)
		cancel()
		c.ledger.disconnected(r, errorText(err))
		sleep(c.reading, c.upTo(500*time.Millisecond))
	}
}

func (c *client) readStream(ctx context.Context, r *reader, node int, topic string, last *string) error {
	stream, err := c.openStream(ctx, node, topic, *last)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	events := &eventReader{client: c, reader: r, last: last}
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := events.line(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// openStream asks for events.
func (c *client) openStream(ctx context.Context, node int, topic, last string) (io.ReadCloser, error) {
	query := url.Values{"destination": {topic}, "format": {"json"}, "access_token": {c.tokens[c.user]}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.cluster.nodes[node].http+"/events?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("status %s", answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}

// eventReader reads a stream of server-sent events.
type eventReader struct {
	*client
	reader     *reader
	id, event  string
	data       string
	incomplete bool // an event said so, of the next message
	last       *string
}

func (e *eventReader) line(text string) error {
	field, value, _ := strings.Cut(text, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case text == "":
		err := e.dispatch()
		e.event, e.data = "", ""
		return err
	case field == "id":
		e.id = value
	case field == "event":
		e.event = value
	case field == "data":
		e.data = value
	}
	return nil
}

func (e *eventReader) dispatch() error {
	if e.id != "" {
		*e.last = e.id
	}
	switch e.event {
	case "connected":
		e.ledger.subscribed(e.reader)
	case "replay-incomplete":
		e.incomplete = true
	case "problem":
		return errors.New(e.data)
	case "":
		if e.data == "" {
			return nil
		}
		var m struct {
			ID   string `json:"message-id"`
			Body string `json:"body"`
		}
		if err := json.Unmarshal([]byte(e.data), &m); err != nil {
			return err
		}
		e.ledger.deliver(e.reader, m.Body, m.ID, false, e.incomplete)
		e.incomplete = false
	}
	return nil
}
