package broker_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/relay"
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

// TestReceiptsComeBeforeTheError: what was stored is confirmed, although a later
// frame is wrong.
func TestReceiptsComeBeforeTheError(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	var all []byte
	for i := range 50 {
		all = frames.Append(all, frames.New(frames.SEND, "destination", "/queue/e", "receipt", strconv.Itoa(i)), frames.V12)
	}
	all = frames.Append(all, frames.New(frames.SEND, "destination", "/nowhere", "receipt", "bad"), frames.V12)
	all = frames.Append(all, frames.New(frames.SEND, "destination", "/queue/e", "receipt", "late"), frames.V12)
	c.Raw(string(all))
	for i := range 50 {
		c.Receipt(strconv.Itoa(i))
	}
	require.Equal(t, "bad", c.Error("has to begin with").Get("receipt-id"))
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
	for i := range 50 {
		f := dying.Message(fmt.Sprintf("m%d", i))
		if i < 10 {
			dying.Send(frames.ACK, "id", f.Get("ack"), "receipt", "r")
			if i == 9 {
				break
			}
		}
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

func TestQueueAckIsCumulativeInClientMode(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		queue := "/queue/cumulative." + version
		sender := test.Dial(t, n).Connect()
		enqueue(t, sender, queue, numbered(5)...)
		c := test.Dial(t, n).Connect("accept-version", version)
		c.Subscribe("q", queue, "ack", "client")
		var third *frames.Frame
		for i := range 5 {
			if f := c.Message(fmt.Sprintf("m%d", i)); i == 2 {
				third = f
			}
		}
		header := map[string]string{"1.0": "message-id", "1.1": "message-id", "1.2": "id"}[version]
		id := third.Get("message-id")
		if version == "1.2" {
			id = third.Get("ack")
		}
		c.Send(frames.ACK, header, id, "subscription", "q", "receipt", "a")
		c.Receipt("a")
		c.Close()
		rest := test.Dial(t, n).Connect()
		rest.Subscribe("q", queue)
		got := []string{string(rest.Expect(frames.MESSAGE).Body), string(rest.Expect(frames.MESSAGE).Body)}
		require.ElementsMatch(t, []string{"m3", "m4"}, got)
		rest.Quiet()
	}
}

func TestQueueMovesToDeadLettersAfterTooManyDeliveries(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: 3}}}})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/poison", "colour", "green", "dead-letter-origin", "/queue/forged", "x")
	c.Subscribe("q", "/queue/poison", "ack", "client-individual")
	for i := range 3 {
		f := c.Message("x")
		require.Equal(t, strconv.Itoa(i+1), f.Get("delivery-count"))
		require.Empty(t, f.Get("dead-letter-origin"), "never taken from a client")
		c.Send(frames.NACK, "id", f.Get("ack"))
	}
	c.Quiet()
	c.Subscribe("d", "/queue/DLQ.poison", "ack", "client-individual")
	for range 7 { // dead letters are not buried again
		f := c.Message("x")
		require.Equal(t, "/queue/DLQ.poison", f.Get("destination"))
		require.Equal(t, "/queue/poison", f.Get("dead-letter-origin"))
		require.Equal(t, "max-deliveries", f.Get("dead-letter-reason"))
		require.Equal(t, "3", f.Get("dead-letter-count"))
		require.Equal(t, "green", f.Get("colour"))
		c.Send(frames.NACK, "id", f.Get("ack"))
	}
	require.Equal(t, int64(1), n.Broker.Stats().Dead)
	require.Contains(t, n.Log.String(), "moved to the dead letters")
}

func TestFullQueueRefusesWithAnError(t *testing.T) {
	t.Parallel()
	match := func(s string) destination.Pattern {
		p, err := destination.ParsePattern(s)
		require.NoError(t, err)
		return p
	}
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{Policies: []broker.QueuePolicy{
		{Match: match("/queue/few.*"), MaxMessages: 3},
		{Match: match("/queue/small.*"), MaxBytes: 10_000},
		{Match: match("/queue/short.*"), MaxAge: time.Second},
	}}}})
	c := test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/few.a", numbered(3)...)
	enqueue(t, c, "/queue/few.b", numbered(3)...)
	c.Send(frames.SEND, "destination", "/queue/few.a", "receipt", "over", "x")
	f := c.Error("the queue is full")
	require.Equal(t, "over", f.Get("receipt-id"))
	require.NotEmpty(t, f.Get("retry-after"))

	c = test.Dial(t, n).Connect()
	body := string(make([]byte, 4000))
	enqueue(t, c, "/queue/small.a", body, body)
	c.Send(frames.SEND, "destination", "/queue/small.a", body)
	c.Error("the queue is full")

	c = test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/short.a", "old")
	enqueue(t, c, "/queue/few.c", "stays")
	time.Sleep(2500 * time.Millisecond) // more than the age, by the server's clock
	c.Subscribe("s", "/queue/short.a")
	c.Quiet()
	for _, q := range []string{"/queue/few.a", "/queue/few.b"} {
		c.Subscribe(q, q)
		for _, body := range numbered(3) {
			c.Message(body)
		}
		c.Quiet()
	}
	require.Equal(t, int64(2), n.Broker.Stats().Refused)
}

func TestQueueMessagesExpire(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10) }
	c.Send(frames.SEND, "destination", "/queue/e", "expires", at(-time.Second), "receipt", "1", "late")
	c.Receipt("1")
	c.Send(frames.SEND, "destination", "/queue/e", "expires", at(300*time.Millisecond), "receipt", "2", "soon")
	c.Receipt("2")
	c.Send(frames.SEND, "destination", "/queue/e", "expires", at(time.Hour), "receipt", "3", "later")
	c.Receipt("3")
	time.Sleep(400 * time.Millisecond) // what expires has to do so
	c.Subscribe("q", "/queue/e")
	c.Message("later")
	c.Quiet()
	require.Equal(t, int64(2), n.Broker.Stats().Expired)
}

func TestQueueDropsDuplicates(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for _, queue := range []string{"/queue/d1", "/queue/d1", "/queue/d2"} {
		c.Send(frames.SEND, "destination", queue, "dedup-id", "order 7", "receipt", "r", "x")
		c.Receipt("r")
	}
	for _, queue := range []string{"/queue/d1", "/queue/d2"} {
		c.Subscribe(queue, queue)
		require.Equal(t, queue, c.Message("x").Get("destination"))
		c.Quiet()
	}
}

func TestQueueTransactionTakesEffectAtCommit(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/in", "work")
	c.Subscribe("in", "/queue/in", "ack", "client-individual")
	work := c.Message("work")
	other := test.Dial(t, n).Connect()
	other.Subscribe("a", "/queue/out.a")
	other.Subscribe("t", "/topic/done")

	begin := func() {
		c.Send(frames.BEGIN, "transaction", "t1")
		c.Send(frames.SEND, "destination", "/queue/out.a", "transaction", "t1", "one")
		c.Send(frames.SEND, "destination", "/queue/out.b", "transaction", "t1", "two")
		c.Send(frames.SEND, "destination", "/topic/done", "transaction", "t1", "done")
		c.Send(frames.ACK, "id", work.Get("ack"), "transaction", "t1", "receipt", "in")
		c.Receipt("in")
		other.Quiet()
	}
	begin()
	c.Send(frames.ABORT, "transaction", "t1", "receipt", "abort")
	c.Receipt("abort")
	other.Quiet()
	begin()
	c.Send(frames.COMMIT, "transaction", "t1", "receipt", "commit")
	c.Receipt("commit")
	got := []string{string(other.Expect(frames.MESSAGE).Body), string(other.Expect(frames.MESSAGE).Body)}
	require.ElementsMatch(t, []string{"one", "done"}, got)
	other.Subscribe("b", "/queue/out.b")
	other.Message("two")
	c.Close()
	other.Subscribe("in", "/queue/in")
	other.Quiet()
}

// TestARepeatedTransactionStoresNothingTwice: its sender did not hear of the
// first COMMIT.
func TestARepeatedTransactionStoresNothingTwice(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for range 2 {
		c.Send(frames.BEGIN, "transaction", "t")
		for _, body := range numbered(3) {
			c.Send(frames.SEND, "destination", "/queue/out", "transaction", "t", "dedup-id", body, body)
		}
		c.Send(frames.COMMIT, "transaction", "t", "receipt", "c")
		c.Receipt("c")
	}
	c.Subscribe("q", "/queue/out")
	for _, body := range numbered(3) {
		c.Message(body)
	}
	c.Quiet()
}

// TestThousandsOfQueues: more than JetStream's default of consumers, and none of
// them is left when nobody consumes.
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
		queues, err := n.Relay.ListQueues(t.Context())
		return err == nil && len(queues) == 0 && n.Broker.Stats().Queues == 0
	}, test.Patience, 50*time.Millisecond)
}

// TestQueueTransactionIsAllOrNone: one message of it is too large for the
// store, so that none is there afterwards, and what it acknowledged comes again.
func TestQueueTransactionIsAllOrNone(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{Frame: frames.Limits{MaxBody: 16 << 20}, MaxTransactionBytes: 64 << 20}}})
	c := test.DialTCP(t, n).Connect()
	enqueue(t, c, "/queue/in", "work")
	c.Subscribe("in", "/queue/in", "ack", "client-individual")
	work := c.Message("work")
	c.Send(frames.BEGIN, "transaction", "t")
	c.Send(frames.SEND, "destination", "/queue/out.a", "transaction", "t", "one")
	c.Send(frames.SEND, "destination", "/queue/out.b", "transaction", "t", string(make([]byte, 9<<20)))
	c.Send(frames.SEND, "destination", "/queue/out.a", "transaction", "t", "three")
	c.Send(frames.ACK, "id", work.Get("ack"), "transaction", "t")
	c.Send(frames.COMMIT, "transaction", "t", "receipt", "commit")
	c.Error("transaction: the message could not be stored")
	after := test.Dial(t, n).Connect()
	after.Subscribe("a", "/queue/out.a")
	after.Subscribe("b", "/queue/out.b")
	after.Quiet()
	after.Subscribe("in", "/queue/in")
	require.Equal(t, "true", after.Message("work").Get("redelivered"))
}

func TestMemoryMessagesAndTransientQueues(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/m", "persistent", "false", "receipt", "1", "in memory")
	c.Receipt("1")
	c.Subscribe("m", "/queue/m", "ack", "client-individual")
	f := c.Message("in memory")
	c.Send(frames.NACK, "id", f.Get("ack"))
	require.Equal(t, "true", c.Message("in memory").Get("redelivered"))

	// The first that is ever kept in memory reaches whom is subscribed already.
	hub := test.Start(t, test.Options{NATSPort: -1})
	early := test.Dial(t, hub).Connect()
	early.Subscribe("e", "/queue/early")
	late := test.Dial(t, test.Start(t, test.Options{NATSURL: hub.Relay.ClientURL()})).Connect()
	late.Send(frames.SEND, "destination", "/queue/early", "persistent", "false", "first")
	early.Message("first")

	// Spring's queue of one session: nobody is there, so nothing is kept.
	spring := "/queue/position-updates-user8f14e45f-ceea-467f-a0e6-123456789abc"
	c.Send(frames.SEND, "destination", spring, "receipt", "2", "nobody hears")
	c.Receipt("2")
	a, b := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	far := test.Dial(t, test.Start(t, test.Options{NATSURL: n.Relay.ClientURL()})).Connect()
	a.Subscribe("s", spring, "ack", "client-individual")
	b.Subscribe("s", spring, "ack", "client-individual")
	far.Send(frames.SEND, "destination", spring, "receipt", "3", "one")
	far.Receipt("3")
	c.Send(frames.SEND, "destination", spring, "two")
	var first, second *frames.Frame
	first, second = a.Expect(frames.MESSAGE), b.Expect(frames.MESSAGE)
	require.ElementsMatch(t, []string{"one", "two"}, []string{string(first.Body), string(second.Body)})
	a.Close()
	require.Equal(t, "true", b.Message(string(first.Body)).Get("redelivered"))

	// RabbitMQ's header, on both sides.
	b.Subscribe("r", "/queue/rabbit", "auto-delete", "true", "durable", "false")
	c.Send(frames.SEND, "destination", "/queue/rabbit", "auto-delete", "true", "x")
	b.Message("x")
	queues, err := n.Relay.ListQueues(t.Context())
	require.NoError(t, err)
	for _, q := range queues {
		require.NotContains(t, q.Name, "rabbit", "a transient queue is not stored")
		require.NotContains(t, q.Name, "position-updates")
	}
}

func TestReplyToATempQueue(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	far := test.Start(t, test.Options{NATSURL: n.Relay.ClientURL()})
	client := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{}))
	server := test.Dial(t, far).Connect()
	server.Subscribe("s", "/queue/sum")
	for i := range 2 {
		client.Send(frames.SEND, "destination", "/queue/sum", "reply-to", "/temp-queue/sums", "correlation-id", strconv.Itoa(i), "1+1")
		request := server.Message("1+1")
		to := request.Get("reply-to")
		require.NotContains(t, to, "sums", "only the broker knows whose it is")
		server.Send(frames.SEND, "destination", to, "correlation-id", request.Get("correlation-id"), "2")
		answer := client.Message("2")
		require.Equal(t, "/temp-queue/sums", answer.Get("subscription"))
		require.Equal(t, strconv.Itoa(i), answer.Get("correlation-id"))
	}
	client.Send(frames.SEND, "destination", "/session/token", "receipt", "fresh", test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/queue/**"}}))
	client.Receipt("fresh")
	server.Subscribe("guess", "/topic/x")
	server.Send(frames.SUBSCRIBE, "id", "steal", "destination", "/reply/x")
	server.Error("clients cannot subscribe to it")
}

func TestUnsubscribedConsumerMayStillAcknowledge(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/u", "a", "b")
	c.Subscribe("q", "/queue/u", "ack", "client-individual")
	a := c.Message("a")
	c.Message("b")
	c.Send(frames.UNSUBSCRIBE, "id", "q", "receipt", "u")
	c.Receipt("u")
	enqueue(t, c, "/queue/u", "c")
	c.Quiet()
	c.Send(frames.ACK, "id", a.Get("ack"), "receipt", "ack")
	c.Receipt("ack")
	c.Close()
	next := test.Dial(t, n).Connect()
	next.Subscribe("q", "/queue/u")
	got := []string{string(next.Expect(frames.MESSAGE).Body), string(next.Expect(frames.MESSAGE).Body)}
	require.ElementsMatch(t, []string{"b", "c"}, got)
	next.Quiet()
}

// TestHeldMessagesStayWithTheirSession: for longer than the ack wait, while the
// session lives; and a reader that reads nothing is not given more than it holds.
func TestHeldMessagesStayWithTheirSession(t *testing.T) {
	t.Parallel()
	wait := 2 * time.Second
	n := test.Start(t, test.Options{
		Queues: relay.QueueSettings{AckWait: wait},
	})
	holder, other := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	enqueue(t, other, "/queue/h", numbered(20)...)
	holder.Subscribe("q", "/queue/h", "ack", "client-individual")
	for _, body := range numbered(20) {
		holder.Message(body)
	}
	other.Subscribe("q", "/queue/h", "ack", "client-individual")
	time.Sleep(3 * wait)
	other.Quiet()
	holder.Close()
	for range 20 {
		require.Equal(t, "true", other.Expect(frames.MESSAGE).Get("redelivered"))
	}
}

// TestQueueWaitsForASlowConsumer: a queue keeps what a consumer does not read,
// rather than ending its session.
func TestQueueWaitsForASlowConsumer(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Outbox: broker.OutboxOptions{MaxFrames: 16, MaxBytes: 64 << 10}}})
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
