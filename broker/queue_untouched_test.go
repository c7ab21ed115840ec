package broker_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestWhatWasOnlyPrefetchedIsNoDeadLetter: consumers come and go, and never get beyond the
// first message, on one node or on two in turn. That one is a dead letter in the end, and
// the others are not. Another node gets them in an order of its own, so there it need not be
// the same one each time.
func TestWhatWasOnlyPrefetchedIsNoDeadLetter(t *testing.T) {
	t.Parallel()
	const limit, count = 3, 20
	options := broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: limit}}}
	a := test.Start(t, test.Options{NATSPort: -1, Broker: options})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Broker: options})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 10*time.Millisecond)
	for what, nodes := range map[string][]*test.Node{"one": {a, a}, "two": {a, b}} {
		for _, ack := range []string{"client", "client-individual"} {
			queue := "/queue/prefetched-" + what + ack
			c := test.Dial(t, a).Connect()
			for _, body := range numbered(count) {
				c.Send(frames.SEND, "destination", queue, body)
			}
			c.Quiet()
			c.Close()
			awaitSessions(t, a, 0)
			for visit := range 2 * limit {
				node := nodes[visit%2]
				c := test.Dial(t, node).Connect()
				c.Subscribe("q", queue, "ack", ack, "prefetch-count", strconv.Itoa(count))
				_, bodies := messages(c, count-2)
				if what == "one" {
					require.Equal(t, numbered(count)[visit/limit:][:count-2], bodies)
				}
				c.Close()
				awaitSessions(t, node, 0)
			}
			left := func() int {
				left, err := a.Broker.PeekQueue(t.Context(), queue, driver.Peek{Limit: count, MaxBytes: 1 << 20})
				require.NoError(t, err)
				return len(left.Messages)
			}
			if what == "one" {
				// Each of the first two was first for as many visits as it may fail.
				require.Eventually(t, func() bool { return left() == count-2 }, test.Patience, 5*time.Millisecond)
			}
			require.GreaterOrEqual(t, left(), count-2, "%s, %s", what, ack)
		}
	}
}

// TestWhatAConsumerSkippedCounts: it has dealt with a later one.
func TestWhatAConsumerSkippedCounts(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: 1}}}})
	c := test.Dial(t, n).Connect()
	for _, body := range numbered(6) {
		c.Send(frames.SEND, "destination", "/queue/skipped", body)
	}
	c.Quiet()
	c.Subscribe("q", "/queue/skipped", "ack", "client-individual")
	all, _ := messages(c, 6)
	c.Send(frames.ACK, "id", all[2].Get("ack"), "receipt", "third")
	c.Receipt("third")
	c.Close()
	awaitSessions(t, n, 0)
	// m0 and m1 were skipped, and with m3 the consumer may have failed.
	require.Eventually(t, func() bool { return n.Broker.Stats().Dead == 3 }, test.Patience, 5*time.Millisecond)
	next := test.Dial(t, n).Connect()
	next.Subscribe("q", "/queue/skipped", "ack", "client-individual")
	next.Message("m4")
	next.Message("m5")
	next.Quiet()
}
