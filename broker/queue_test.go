package broker_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// enqueue sends messages to a queue, all with a receipt, and wants the receipts in order.
func enqueue(t *testing.T, c *test.Client, queue string, bodies ...string) {
	t.Helper()
	for i, body := range bodies {
		c.Send(frames.SEND, "destination", queue, "receipt", strconv.Itoa(i), body)
	}
	for i := range bodies {
		c.Receipt(strconv.Itoa(i))
	}
}

func numbered(n int) []string {
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprintf("m%d", i)
	}
	return bodies
}

func TestQueueKeepsMessagesAndTheirOrder(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	sender := test.Dial(t, n).Connect()
	bodies := numbered(300)
	enqueue(t, sender, "/queue/orders", bodies...)
	c := test.DialTCP(t, n).Connect()
	c.Subscribe("q", "/queue/orders")
	for _, body := range bodies {
		f := c.Message(body)
		require.Equal(t, "q", f.Get("subscription"))
		require.Equal(t, "/queue/orders", f.Get("destination"))
		require.Equal(t, "guest", f.Get("user"))
		require.Equal(t, "1", f.Get("delivery-count"))
		require.Empty(t, f.Get("redelivered"))
	}
	c.Quiet()
	require.Eventually(t, func() bool { return n.Broker.Stats().Acked == 300 }, test.Patience, 5*time.Millisecond)
	c.Close()
	again := test.Dial(t, n).Connect()
	again.Subscribe("q", "/queue/orders")
	again.Quiet()
}

func TestQueueGivesEachMessageToOneConsumerInFairTurn(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	a, b, sender := test.Dial(t, n).Connect(), test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	a.Subscribe("q", "/queue/work", "ack", "client-individual", "prefetch-count", "10")
	b.Subscribe("q", "/queue/work", "ack", "client-individual", "activemq.prefetchSize", "10")
	enqueue(t, sender, "/queue/work", numbered(30)...)
	seen := make(map[string]bool)
	for _, c := range []*test.Client{a, b} {
		for range 10 {
			seen[string(c.Expect(frames.MESSAGE).Body)] = true
		}
		c.Quiet()
	}
	require.Len(t, seen, 20, "each holds as many as its prefetch, and none is held twice")
}

func TestQueueRedeliversAfterSessionDies(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	sender := test.Dial(t, n).Connect()
	enqueue(t, sender, "/queue/a", numbered(50)...)
	dying := test.Dial(t, n).Connect()
	dying.Subscribe("q", "/queue/a", "ack", "client-individual")
	var acks []string
	for i := range 10 {
		acks = append(acks, dying.Message(fmt.Sprintf("m%d", i)).Get("ack"))
	}
	for _, ack := range acks {
		dying.Send(frames.ACK, "id", ack, "receipt", "r")
	}
	for range 10 {
		for {
			f, err := dying.Next()
			require.NoError(t, err)
			if f.Command == frames.RECEIPT {
				break
			}
		}
	}
	dying.Close()
	heir := test.Dial(t, n).Connect()
	heir.Subscribe("q", "/queue/a", "ack", "client-individual")
	seen := make(map[string]bool)
	for range 40 {
		f := heir.Expect(frames.MESSAGE)
		require.Equal(t, "true", f.Get("redelivered"))
		require.Equal(t, "2", f.Get("delivery-count"))
		seen[string(f.Body)] = true
		heir.Send(frames.ACK, "id", f.Get("ack"))
	}
	require.Len(t, seen, 40)
	require.NotContains(t, seen, "m0")
	heir.Quiet()
}

// TestThousandsOfQueues: more than JetStream's default of consumers, and none of
// them is left when there are no consumers.
func TestThousandsOfQueues(t *testing.T) {
	t.Parallel()
	const each = 600
	n := test.Start(t, test.Options{})
	sender := test.Dial(t, n).Connect()
	var consumers []*test.Client
	for k := range 2 {
		c := test.Dial(t, n).Connect()
		consumers = append(consumers, c)
		for i := range each {
			queue := fmt.Sprintf("/queue/many.%d.%d", k, i)
			enqueue(t, sender, queue, queue)
			c.Send(frames.SUBSCRIBE, "id", queue, "destination", queue)
			c.Message(queue)
		}
	}
	require.Equal(t, int64(2*each), n.Broker.Stats().Queues)
	for _, c := range consumers {
		c.Send(frames.DISCONNECT, "receipt", "bye")
		c.Receipt("bye")
	}
	require.Eventually(t, func() bool {
		queues, err := n.Relay.Driver().QueueAdmin.ListQueues(t.Context())
		return err == nil && len(queues) == 0 && n.Broker.Stats().Queues == 0
	}, test.Patience, 50*time.Millisecond)
}

// TestQueueWaitsForASlowConsumer: a queue keeps what a consumer does not read,
// rather than ending its session.
func TestQueueWaitsForASlowConsumer(t *testing.T) {
	t.Parallel()
	limits := broker.Limits{WriteTimeout: time.Hour} // it reads nothing while all is sent
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: limits, Outbox: broker.OutboxOptions{MaxFrames: 16, MaxBytes: 64 << 10}}})
	sender, slow := test.Dial(t, n).Connect(), test.DialTCP(t, n).Connect()
	body := string(make([]byte, 30_000))
	slow.Subscribe("q", "/queue/slow")
	for range 400 {
		sender.Send(frames.SEND, "destination", "/queue/slow", "receipt", "r", body)
		sender.Receipt("r")
	}
	for range 400 {
		require.Len(t, slow.Expect(frames.MESSAGE).Body, len(body))
	}
	require.Zero(t, n.Broker.Stats().Dropped)
}

func TestQueuesAreSharedBetweenNodes(t *testing.T) {
	t.Parallel()
	settings := test.Options{NATSPort: -1}
	n := test.Start(t, settings)
	far := test.Start(t, test.Options{NATSURL: n.Relay.ClientURL()})
	a, b, sender := test.Dial(t, n).Connect(), test.Dial(t, far).Connect(), test.Dial(t, far).Connect()
	a.Subscribe("q", "/queue/shared", "ack", "client-individual", "prefetch-count", "10")
	b.Subscribe("q", "/queue/shared", "ack", "client-individual", "prefetch-count", "10")
	enqueue(t, sender, "/queue/shared", numbered(40)...)
	counts := make(map[string]int)
	var held []string // by b
	for _, c := range []*test.Client{a, b} {
		for range 10 {
			f := c.Expect(frames.MESSAGE)
			counts[string(f.Body)]++
			held = append(held, f.Get("ack"))
		}
		c.Quiet()
	}
	require.Len(t, counts, 20)
	a.Close() // what it holds goes to the other node, as there is room
	for _, id := range held[10:] {
		b.Send(frames.ACK, "id", id)
	}
	redelivered := 0
	for range 30 {
		f := b.Expect(frames.MESSAGE)
		counts[string(f.Body)]++
		if f.Get("redelivered") == "true" {
			redelivered++
		}
		b.Send(frames.ACK, "id", f.Get("ack"))
	}
	require.Len(t, counts, 40)
	require.Equal(t, 10, redelivered)
	b.Quiet()
}
