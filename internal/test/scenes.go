package test

import (
	"testing"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// OneAndTwoNodes are one node, and two that share a NATS server: a client of the first
// talks to one of the second.
func OneAndTwoNodes(t testing.TB, o broker.Options) map[string][2]*Node {
	t.Helper()
	alone := Start(t, Options{Broker: o})
	a := Start(t, Options{NATSPort: -1, Broker: o})
	b := Start(t, Options{NATSURL: a.Relay.ClientURL(), Broker: o})
	return map[string][2]*Node{"one node": {alone, alone}, "two nodes": {a, b}}
}

// Caller may send to /app; it serves nothing.
func Caller(t testing.TB, n *Node, user string) *Client {
	t.Helper()
	grants := auth.Grants{Send: []string{"/app/**"}, Subscribe: []string{"/user/**"}}
	return Dial(t, n).Connect("Authorization", "Bearer "+Token(t, user, time.Hour, grants))
}

// Histories are policies for a few messages, for all, and for users.
func Histories(t testing.TB) []driver.HistoryPolicy {
	t.Helper()
	return []driver.HistoryPolicy{
		History(t, "short", "/topic/short.*", 5),
		History(t, "chat", "/topic/chat.**", 0),
		History(t, "notes", "/user/*/queue/notes", 100),
	}
}

// SendKept sends with a receipt, so that the history has it.
func (c *Client) SendKept(destination, body string) {
	c.t.Helper()
	c.Send(frames.SEND, "destination", destination, "receipt", "kept "+body, body)
	c.Receipt("kept " + body)
}
