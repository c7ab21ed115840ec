package main

import (
	"strconv"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// speak sends to a topic that nothing keeps, always over one node.
func (c *client) speak(node int, begun func()) {
	var l *link
	begun()
	for n := 1; c.loading.Err() == nil; n++ {
		if l == nil {
			var err error
			if l, err = c.dial(c.loading, node, c.user, c.webSocket); err != nil {
				l = nil
				sleep(c.loading, 300*time.Millisecond)
				continue
			}
		}
		m := c.ledger.send(c.name, "/topic/news."+strconv.Itoa(node), n, nil)
		if c.sendOnce(l, m) != nil {
			l.close()
			l = nil
		}
		sleep(c.loading, c.upTo(2*senderPause))
	}
	if l != nil {
		l.close()
	}
}

// listen reads all topics that nothing keeps, over one node.
func (c *client) listen(node int) {
	r := c.ledger.newReader(c.name, listener, "/topic/news.*")
	for c.reading.Err() == nil {
		l, err := c.dial(c.reading, node, c.user, c.webSocket)
		if err != nil {
			sleep(c.reading, 300*time.Millisecond)
			continue
		}
		c.ledger.connected(r, l.node)
		err = c.readFor(l, 5*time.Second+c.upTo(40*time.Second), []string{"id", "s", "destination", "/topic/news.*", "receipt", "subscribed"}, func(f *frames.Frame) error {
			if f.Command == frames.RECEIPT {
				c.ledger.subscribed(r)
			} else {
				c.ledger.deliver(r, string(f.Body), f.Get("message-id"), false, false)
			}
			return nil
		})
		c.ledger.disconnected(r, errorText(err))
		l.close()
	}
}
