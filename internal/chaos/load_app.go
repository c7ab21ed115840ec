package main

import (
	"context"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/frames"
)

const answer = "answer"

// serveApp answers requests, over one connection after the other.
func (c *client) serveApp() {
	for c.reading.Err() == nil {
		l := c.elsewhere(c.reading)
		if l == nil {
			return
		}
		pairs := []string{"id", "s", "destination", "/app/work.*", "ack", "client-individual", "prefetch-count", "20"}
		_ = c.readFor(l, 5*time.Second+c.upTo(60*time.Second), pairs, func(f *frames.Frame) error {
			if f.Command != frames.MESSAGE {
				return nil
			}
			err := l.send(frames.SEND, "destination", f.Get("reply-to"), "correlation-id", f.Get("correlation-id"), string(f.Body))
			if err == nil {
				err = l.send(frames.ACK, "id", f.Get("ack"))
			}
			return err
		})
		l.close()
		sleep(c.reading, c.upTo(300*time.Millisecond))
	}
}

// call sends requests to app servers, and notes what comes of each.
func (c *client) call(begun func()) {
	begun()
	for n := 0; c.loading.Err() == nil; {
		l := c.elsewhere(c.loading)
		if l == nil {
			return
		}
		n = c.callOn(l, n)
		sleep(c.loading, c.upTo(500*time.Millisecond))
	}
}

// callOn sends requests over one connection, which stays until the last has its outcome
// or the time for it is over.
func (c *client) callOn(l *link, n int) int {
	sending, cancel := context.WithTimeout(c.loading, 10*time.Second+c.upTo(50*time.Second))
	defer cancel()
	open := make(map[string]*request)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			f, err := l.next()
			if err != nil || f.Command == frames.ERROR {
				return
			}
			c.outcome(f, open)
		}
	}()
	var err error
	for sending.Err() == nil && err == nil {
		n++
		name := c.name + " " + strconv.Itoa(n)
		r := &request{name: name, at: c.ledger.now(), node: l.node}
		c.ledger.edit(func() {
			c.ledger.requests = append(c.ledger.requests, r)
			open[name] = r
		})
		err = l.send(frames.SEND, "destination", "/app/work."+strconv.Itoa(n%3), "reply-to", "/temp-queue/answers", "correlation-id", name, "receipt", name, name)
		select {
		case <-read:
			cancel()
		case <-time.After(c.upTo(4 * senderPause)):
		}
	}
	select { // while a caller reads, it gets what becomes of the last ones
	case <-read:
	case <-time.After(appTimeout + appSlack + time.Second):
	}
	l.close()
	<-read
	c.ledger.edit(func() {
		for _, r := range open {
			r.ended = c.ledger.now()
		}
	})
	return n
}

func (c *client) outcome(f *frames.Frame, open map[string]*request) {
	if f.Command != frames.MESSAGE {
		return
	}
	c.ledger.edit(func() {
		r := open[f.Get("correlation-id")]
		switch code := f.Get("error"); {
		case r == nil:
		case code != "":
			r.outcomes = append(r.outcomes, code)
		case string(f.Body) != r.name:
			r.outcomes = append(r.outcomes, "the answer to "+string(f.Body))
		default:
			r.outcomes = append(r.outcomes, answer)
		}
	})
}
