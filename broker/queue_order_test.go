package broker_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// orderedKinds are queues whose messages come again in their order.
var orderedKinds = []struct {
	name, dest      string
	send, subscribe []string
}{
	{"stored", "/queue/order", nil, nil},
	{"memory", "/queue/order.memory", []string{"persistent", "false"}, nil},
	{"durable subscription", "/topic/order", nil, []string{"durable", "true", "auto-delete", "false"}},
}

// TestWhatADeadConsumerHeldComesAgainInItsOrder, before what no consumer has had, and to a
// consumer on another node too.
func TestWhatADeadConsumerHeldComesAgainInItsOrder(t *testing.T) {
	t.Parallel()
	histories := []driver.HistoryPolicy{test.History(t, "kept", "/topic/order", 10000)}
	a := test.Start(t, test.Options{NATSPort: -1, Histories: histories})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: histories})
	for _, kind := range orderedKinds {
		for _, n := range []int{2, 10, 300} {
			name := fmt.Sprintf("%s, %d", kind.name, n)
			sender := test.Dial(t, a).Connect()
			first := test.Dial(t, a).Connect()
			held := n - n/4
			first.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client-individual", "prefetch-count", fmt.Sprint(held))...)
			for i, body := range numbered(n) {
				sender.Send(frames.SEND, append(append([]string{"destination", kind.dest}, kind.send...), body)...)
				if i == n-1 {
					sender.Quiet()
				}
			}
			_, bodies := messages(first, held)
			require.Equal(t, numbered(held), bodies, name)
			first.Close()
			awaitSessions(t, a, 1)
			for _, node := range []*test.Node{a, b} {
				next := test.Dial(t, node).Connect()
				next.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client-individual")...)
				all, bodies := messages(next, n)
				if node == a {
					require.Equal(t, numbered(n), bodies, "%s: to the next one", name)
				} else { // another node may ask before all of it is back
					require.ElementsMatch(t, numbered(n), bodies, "%s: to the one on another node", name)
				}
				require.Equal(t, "true", all[0].Get("redelivered"))
				next.Close()
				if node == a {
					awaitSessions(t, a, 1)
				} else {
					awaitSessions(t, b, 0)
				}
			}
			last := test.Dial(t, a).Connect()
			last.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client")...)
			all, bodies := messages(last, n)
			require.ElementsMatch(t, numbered(n), bodies, "%s: to the last one", name)
			last.Send(frames.ACK, "id", all[n-1].Get("ack"), "receipt", "all")
			last.Receipt("all")
			last.Close()
			sender.Close()
			awaitSessions(t, a, 0)
		}
	}
}

// TestWhatComesAgainKeepsItsOrder also where its next consumer has less room, and leaves too.
func TestWhatComesAgainKeepsItsOrder(t *testing.T) {
	t.Parallel()
	const count = 40
	histories := []driver.HistoryPolicy{test.History(t, "kept", "/topic/order", 10000)}
	n := test.Start(t, test.Options{Histories: histories})
	for _, kind := range orderedKinds {
		sender := test.Dial(t, n).Connect()
		for visit, prefetch := range []int{count, 5, 7, 1, count} {
			c := test.Dial(t, n).Connect()
			c.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client", "prefetch-count", strconv.Itoa(prefetch))...)
			if visit == 0 {
				for _, body := range numbered(count) {
					sender.Send(frames.SEND, append(append([]string{"destination", kind.dest}, kind.send...), body)...)
				}
			}
			_, bodies := messages(c, prefetch)
			require.Equal(t, numbered(prefetch), bodies, "%s: to consumer %d", kind.name, visit)
			c.Close()
			awaitSessions(t, n, 1)
		}
		sender.Close()
		awaitSessions(t, n, 0)
	}
}

func awaitSessions(t *testing.T, n *test.Node, sessions int64) {
	t.Helper()
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == sessions }, test.Patience, 5*time.Millisecond)
}

// TestATransientQueueKeepsItsOrder when one consumer ends and another is there.
// TestWhatIsHeldAfterAnUnsubscribeComesAgainInItsOrder has the queue closed while a session
// still holds its oldest message.
func TestWhatIsHeldAfterAnUnsubscribeComesAgainInItsOrder(t *testing.T) {
	t.Parallel()
	node := test.Start(t, test.Options{})
	sender := test.Dial(t, node).Connect()
	for round := range 5 {
		dest := fmt.Sprintf("/queue/unsubscribed%d", round)
		a, b := test.Dial(t, node).Connect(), test.Dial(t, node).Connect()
		a.Subscribe("q", dest, "ack", "client-individual", "prefetch-count", "1")
		for _, body := range numbered(20) {
			sender.Send(frames.SEND, "destination", dest, body)
		}
		sender.Quiet()
		messages(a, 1)
		b.Subscribe("q", dest, "ack", "client-individual", "prefetch-count", "5")
		messages(b, 5)
		a.Send(frames.UNSUBSCRIBE, "id", "q", "receipt", "left")
		a.Receipt("left")
		b.Close()
		awaitSessions(t, node, 2)
		a.Close()
		awaitSessions(t, node, 1)
		next := test.Dial(t, node).Connect()
		next.Subscribe("q", dest, "ack", "client-individual")
		_, bodies := messages(next, 20)
		require.Equal(t, numbered(20), bodies)
		next.Close()
		awaitSessions(t, node, 1)
	}
}

func TestATransientQueueKeepsItsOrder(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	transient := []string{"ack", "client-individual"}
	const queue = "/queue/order-user8f14e45f-ceea-467f-a0e6-123456789abc"
	first, second := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	first.Subscribe("q", queue, append(transient, "prefetch-count", "5")...)
	for _, body := range numbered(8) {
		first.Send(frames.SEND, "destination", queue, body)
	}
	messages(first, 5)
	second.Subscribe("q", queue, append(transient, "prefetch-count", "1")...)
	f := second.Message("m5")
	first.Close()
	awaitSessions(t, n, 1)
	for _, body := range append(numbered(5), "m6", "m7") {
		second.Send(frames.ACK, "id", f.Get("ack"))
		f = second.Message(body)
	}
}

// TestWhatAnEndedSessionHeldIsFree at once, though its client keeps the connection: a
// session that ended with an ERROR, by DISCONNECT or by being ended.
func TestWhatAnEndedSessionHeldIsFree(t *testing.T) {
	t.Parallel()
	histories := []driver.HistoryPolicy{test.History(t, "kept", "/topic/order", 10000)}
	n := test.Start(t, test.Options{Histories: histories})
	other := test.Dial(t, n).Connect()
	for what, end := range map[string]func(*test.Client){
		"error":        func(c *test.Client) { c.Send(frames.SEND, "destination", "/nowhere") },
		"DISCONNECT":   func(c *test.Client) { c.Send(frames.DISCONNECT, "receipt", "bye") },
		"disconnected": func(*test.Client) { n.Broker.Disconnect(t.Context(), "guest", "", "because") },
	} {
		if what == "disconnected" {
			other.Close()
			awaitSessions(t, n, 0)
		}
		for _, kind := range orderedKinds {
			c := test.DialTCP(t, n).Connect()
			c.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client")...)
			c.Send(frames.UNSUBSCRIBE, "id", "q") // what it holds counts, too
			c.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client")...)
			for _, body := range numbered(4) {
				c.Send(frames.SEND, append(append([]string{"destination", kind.dest}, kind.send...), body)...)
			}
			messages(c, 4)
			end(c)
			next := test.Dial(t, n).Connect() // c is neither read nor closed
			next.Subscribe("q", kind.dest, append(kind.subscribe, "ack", "client")...)
			all, bodies := messages(next, 4)
			require.Equal(t, numbered(4), bodies, "%s, %s", what, kind.name)
			next.Send(frames.ACK, "id", all[3].Get("ack"), "receipt", "all")
			next.Receipt("all")
			next.Close()
			c.Close()
		}
	}
}

// TestWhatASessionHeldUnderSeveralSubscriptionsComesAgainInItsOrder: under two of one
// queue, or under one that it ended, before it subscribed again.
func TestWhatASessionHeldUnderSeveralSubscriptionsComesAgainInItsOrder(t *testing.T) {
	t.Parallel()
	const count = 30
	histories := []driver.HistoryPolicy{test.History(t, "kept", "/topic/order", 10000)}
	n := test.Start(t, test.Options{Histories: histories})
	hold := map[string]func(c *test.Client, dest string, subscribe []string, fill func()){
		"two subscriptions": func(c *test.Client, dest string, subscribe []string, fill func()) {
			c.Subscribe("q", dest, append(subscribe, "prefetch-count", strconv.Itoa(count/2))...)
			c.Subscribe("r", dest, append(subscribe, "prefetch-count", strconv.Itoa(count/2))...)
			fill()
			messages(c, count)
		},
		"subscribed again": func(c *test.Client, dest string, subscribe []string, fill func()) {
			c.Subscribe("q", dest, append(subscribe, "prefetch-count", strconv.Itoa(count))...)
			fill()
			messages(c, count)
			c.Send(frames.UNSUBSCRIBE, "id", "q")
			c.Subscribe("r", dest, append(subscribe, "prefetch-count", strconv.Itoa(count))...)
		},
	}
	for what, held := range hold {
		for _, kind := range orderedKinds {
			if what == "two subscriptions" && kind.name == "durable subscription" {
				continue // each of two is one of its own, and gets all
			}
			c := test.Dial(t, n).Connect()
			held(c, kind.dest, append([]string{"ack", "client-individual"}, kind.subscribe...), func() {
				for _, body := range numbered(count) {
					c.Send(frames.SEND, append(append([]string{"destination", kind.dest}, kind.send...), body)...)
				}
			})
			c.Close()
			awaitSessions(t, n, 0)
			next := test.Dial(t, n).Connect()
			next.Subscribe("q", kind.dest, append([]string{"ack", "client", "prefetch-count", strconv.Itoa(count)}, kind.subscribe...)...)
			all, bodies := messages(next, count)
			require.Equal(t, numbered(count), bodies, "%s, %s", what, kind.name)
			next.Send(frames.ACK, "id", all[count-1].Get("ack"), "receipt", "all")
			next.Receipt("all")
			next.Close()
			awaitSessions(t, n, 0)
		}
	}
}
