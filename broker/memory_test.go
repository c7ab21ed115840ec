package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// bounded is a node on which one kind of memory is bounded, and clients by user.
func bounded(t *testing.T, q broker.Quotas) (n *test.Node, as func(user string) *test.Client) {
	n = test.Start(t, test.Options{Broker: broker.Options{Quotas: q}, Histories: test.Histories(t)})
	return n, func(user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.AllGrants()))
	}
}

// requireFree wants nothing of a kind to be taken, once all is over.
func requireFree(t *testing.T, n *test.Node, kind string) {
	t.Helper()
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory[kind] == 0 }, test.Patience, time.Millisecond, "bytes of %s are never given back", kind)
}

func TestRequestsThatWaitAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Waiting: broker.ByteLimits{User: 100_000, Node: 150_000}})
	server, ann, bob := as("server"), as("ann"), as("bob")
	server.Subscribe("app", "/app/slow", "ack", "client-individual")
	ask := func(c *test.Client, bytes int) {
		c.Send(frames.SEND, "destination", "/app/slow", "reply-to", "/temp-queue/a", "receipt", "r", strings.Repeat("x", bytes))
	}
	var acks []string
	for range 4 {
		ask(ann, 20_000)
		ann.Receipt("r")
		acks = append(acks, server.Expect(frames.MESSAGE).Get("ack"))
	}
	ask(ann, 20_000)
	f := ann.Expect(frames.MESSAGE)
	require.Equal(t, "app-busy", f.Get("code"))
	require.Contains(t, string(f.Body), "your messages that wait for app servers and in transient queues may take 100000 bytes on this node; try again later, or raise limits.user_waiting_bytes")
	ann.Receipt("r")
	ask(bob, 20_000)
	bob.Receipt("r")
	acks = append(acks, server.Expect(frames.MESSAGE).Get("ack"))
	ask(bob, 60_000)
	require.Contains(t, string(bob.Expect(frames.MESSAGE).Body), "limits.node_waiting_bytes")
	bob.Receipt("r")
	for _, ack := range acks {
		server.Send(frames.ACK, "id", ack, "receipt", "a")
		server.Receipt("a")
	}
	ask(ann, 20_000)
	ann.Receipt("r")
	server.Expect(frames.MESSAGE)
	require.EqualValues(t, map[string]int64{"user_waiting_bytes": 1, "node_waiting_bytes": 1}, n.Broker.Stats().Limited)
	server.Close() // the request has no other app server
	ann.Close()
	bob.Close()
	requireFree(t, n, "waiting")
}

func TestTransientQueuesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Waiting: broker.ByteLimits{User: 100_000}})
	queue := "/queue/x-user8f14e45f-ceea-467f-a0e6-123456789abc"
	consumer, sender := as("consumer"), as("sender")
	consumer.Subscribe("q", queue, "ack", "client", "prefetch-count", "1")
	for range 4 {
		sender.Send(frames.SEND, "destination", queue, "receipt", "r", strings.Repeat("x", 20_000))
		sender.Receipt("r")
	}
	consumer.Expect(frames.MESSAGE)
	sender.Send(frames.SEND, "destination", queue, "receipt", "r", strings.Repeat("x", 20_000))
	e := sender.Error("limits.user_waiting_bytes; nothing was stored")
	require.Equal(t, "queue-full", e.Get("code"))
	require.Equal(t, "5", e.Get("retry-after"))
	require.GreaterOrEqual(t, n.Broker.Stats().Memory["waiting"], int64(80_000))
	consumer.Close()
	requireFree(t, n, "waiting")

	again, auto := as("sender"), as("consumer")
	auto.Subscribe("q", queue)
	for i := range 50 {
		again.Send(frames.SEND, "destination", queue, "receipt", "r", strconv.Itoa(i)+strings.Repeat("x", 20_000))
		auto.Expect(frames.MESSAGE)
		again.Receipt("r")
	}
	requireFree(t, n, "waiting")
}

func TestTransactionsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Transactions: broker.ByteLimits{User: 1 << 20}})
	buffer := func(c *test.Client, kilobytes int) {
		c.Send(frames.BEGIN, "transaction", "t")
		for range kilobytes / 100 {
			c.Send(frames.SEND, "transaction", "t", "destination", "/topic/a", "colour", strings.Repeat("h", 10_000), strings.Repeat("x", 90_000))
		}
	}
	first, second := as("ann"), as("ann")
	buffer(first, 500)
	first.Quiet()
	buffer(second, 700)
	e := second.Error("your frames of open transactions may take 1048576 bytes")
	require.Equal(t, "transaction-too-large", e.Get("code"))
	require.Contains(t, e.Get("message"), "limits.user_transaction_bytes")
	other := as("bob")
	buffer(other, 500)
	other.Quiet()
	first.Send(frames.COMMIT, "transaction", "t", "receipt", "c")
	first.Receipt("c")
	buffer(first, 500)
	first.Send(frames.ABORT, "transaction", "t", "receipt", "a")
	first.Receipt("a")
	for range 20 { // small ones are free
		first.Send(frames.BEGIN, "transaction", "small", "receipt", "b")
		first.Receipt("b")
		first.Send(frames.ABORT, "transaction", "small")
	}
	other.Close() // what it had open is free
	requireFree(t, n, "transaction")
}

func TestSubscriptionsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Subscriptions: broker.ByteLimits{Connection: 100_000, User: 250_000}})
	subscribe := func(c *test.Client, count int) {
		for i := range count {
			c.Subscribe(strings.Repeat("i", 5000)+strconv.Itoa(i), "/topic/a")
		}
	}
	first, second := as("ann"), as("ann")
	subscribe(first, 8)
	subscribe(second, 4)
	second.Send(frames.SUBSCRIBE, "id", strings.Repeat("j", 15_000), "destination", "/topic/a")
	require.Contains(t, second.Error("your subscriptions may take 250000 bytes").Get("message"), "limits.user_subscription_bytes")
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory["subscription"] <= 2*65536 }, test.Patience, time.Millisecond)
	first.Send(frames.UNSUBSCRIBE, "id", strings.Repeat("i", 5000)+"0", "receipt", "u")
	first.Receipt("u")
	subscribe(first, 1)
	first.Send(frames.SUBSCRIBE, "id", strings.Repeat("j", 9000), "destination", "/topic/a")
	require.Equal(t, "too-many-subscriptions", first.Error("the subscriptions of a connection may take 100000 bytes; raise limits.subscription_bytes").Get("code"))
	requireFree(t, n, "subscription")
	require.EqualValues(t, map[string]int64{"subscription_bytes": 1, "user_subscription_bytes": 1}, n.Broker.Stats().Limited)
}

// TestUnacknowledgedMessagesWait: a connection that holds too much gets no more, until it
// acknowledges. Nothing is lost, and no session ends.
func TestUnacknowledgedMessagesWait(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Unacked: broker.ByteLimits{Connection: 100_000, User: 150_000}})
	sender := as("sender")
	const each = 20
	for i := range each {
		for _, queue := range []string{"a", "b"} {
			sender.Send(frames.SEND, "destination", "/queue/"+queue, "receipt", "r", strconv.Itoa(i)+strings.Repeat("x", 20_000))
			sender.Receipt("r")
		}
	}
	first, second := as("ann"), as("ann")
	first.Subscribe("q", "/queue/a", "ack", "client-individual")
	var acks []string
	for range 4 {
		acks = append(acks, first.Expect(frames.MESSAGE).Get("ack"))
	}
	first.Quiet()
	second.Subscribe("q", "/queue/b", "ack", "client-individual")
	got := 0
	for range each {
		f := second.Expect(frames.MESSAGE)
		require.True(t, strings.HasPrefix(string(f.Body), strconv.Itoa(got)+"x"), "in order")
		second.Send(frames.ACK, "id", f.Get("ack"))
		got++
	}
	second.Quiet()
	for len(acks) < each {
		first.Send(frames.ACK, "id", acks[len(acks)-4])
		acks = append(acks, first.Expect(frames.MESSAGE).Get("ack"))
	}
	require.Positive(t, n.Broker.Stats().Limited["unacked_bytes"])
	first.Close() // what it held goes back
	second.Close()
	requireFree(t, n, "unacked")
	third := as("bob")
	third.Subscribe("q", "/queue/a")
	for range 4 {
		require.Equal(t, "true", third.Expect(frames.MESSAGE).Get("redelivered"))
	}
	third.Quiet()
	requireFree(t, n, "unacked")
}

// TestIDsOfTopicsAreForgotten beyond a limit in bytes: nothing is lost with them.
func TestIDsOfTopicsAreForgotten(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Unacked: broker.ByteLimits{Connection: 10_000}})
	c := as("ann")
	c.Subscribe("s", "/topic/a", "ack", "client-individual")
	c.Subscribe("t", "/topic/a", "ack", "client-individual")
	var acks []string
	for range 200 {
		c.Send(frames.SEND, "destination", "/topic/a", "x")
		for range 2 {
			acks = append(acks, c.Message("x").Get("ack"))
		}
	}
	require.Positive(t, n.Broker.Stats().Limited["unacked_bytes"])
	c.Send(frames.ACK, "id", acks[len(acks)-1], "receipt", "a")
	c.Receipt("a")
	require.Zero(t, n.Broker.Stats().Stale, "the newest are known")
	c.Send(frames.ACK, "id", acks[0], "receipt", "a")
	c.Receipt("a")
	require.EqualValues(t, 1, n.Broker.Stats().Stale)
}

func TestFramesThatArriveAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Incoming: broker.ByteLimits{User: 2 << 20}})
	begin := func(c *test.Client, receipt string) (rest string) {
		whole := fmt.Sprintf("SEND\ndestination:/topic/a\nreceipt:%s\n\n%s\x00", receipt, strings.Repeat("x", 1_000_000))
		c.Raw(whole[:900_000])
		return whole[900_000:]
	}
	first, second := as("ann"), as("ann")
	rest := begin(first, "1")
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory["incoming"] > 900_000 }, test.Patience, time.Millisecond)
	other := as("bob")
	other.Raw(begin(other, "3"))
	other.Receipt("3")
	second.Raw("SEND\ndestination:/topic/a\n\n" + strings.Repeat("x", 1_500_000))
	e := second.Error("your frames and requests that have not arrived as a whole, or wait to be stored, may take 2097152 bytes")
	require.Equal(t, "memory-limit", e.Get("code"))
	require.Contains(t, e.Get("message"), "limits.user_incoming_bytes")
	first.Raw(rest)
	first.Receipt("1")
	requireFree(t, n, "incoming")
}

func TestDedupIDsAreBounded(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Dedup: broker.ByteLimits{User: 4000}})
	send := func(c *test.Client, destination, id string) {
		c.Send(frames.SEND, "destination", destination, "dedup-id", id, "receipt", "r", "x")
	}
	for _, destination := range []string{"/queue/a", "/topic/chat.a"} {
		c := as("ann")
		send(c, destination, strings.Repeat("i", 512))
		c.Receipt("r")
		send(c, destination, strings.Repeat("i", 513))
		require.Equal(t, "bad-header", c.Error("dedup-id has 513 bytes; the limit is 512 (limits.dedup_id)").Get("code"))
	}
	c := as("ann")
	for i := range 3 {
		send(c, "/queue/a", strings.Repeat("i", 500)+strconv.Itoa(i))
		c.Receipt("r")
	}
	send(c, "/queue/a", strings.Repeat("i", 500)+"more")
	e := c.Error("your dedup ids of the last dedup window may take 4000 bytes")
	require.Equal(t, "memory-limit", e.Get("code"))
	require.Contains(t, e.Get("message"), "limits.user_dedup_bytes")
	all, err := auth.NewPermissions(auth.AllGrants(), "ann")
	require.NoError(t, err)
	_, err = n.Broker.Send(t.Context(), &auth.Principal{Name: "ann", Permissions: all}, broker.Publication{Destination: "/queue/a", Headers: frames.Headers{{Name: "dedup-id", Value: strings.Repeat("i", 500)}}})
	require.ErrorContains(t, err, "limits.user_dedup_bytes", "over HTTP too")
	free := as("ann")
	free.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "without an id")
	free.Receipt("r")
	other := as("bob")
	send(other, "/queue/a", "1")
	other.Receipt("r")
}

// TestQueuesInMemoryAreBoundedInBytes holds that what is not on disk is counted of its sender,
// and given back however it ends: acknowledged here, consumed on another node, or expired.
func TestQueuesInMemoryAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	o := broker.Options{Quotas: broker.Quotas{MemoryQueues: broker.ByteLimits{User: 100_000, Node: 160_000}}}
	n := test.Start(t, test.Options{NATSPort: -1, Broker: o})
	other := test.Start(t, test.Options{NATSURL: n.Relay.ClientURL(), Broker: o})
	as := func(n *test.Node, user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.AllGrants()))
	}
	send := func(c *test.Client, header, queue string, more ...string) {
		c.Send(frames.SEND, append([]string{"destination", "/queue/" + queue, header, map[string]string{"persistent": "false", "auto-delete": "true"}[header], "receipt", "r"}, append(more, strings.Repeat("x", 24_000))...)...)
	}
	taken := func(c *test.Client, header, queue string) {
		send(c, header, queue)
		c.Receipt("r")
	}
	ann := as(n, "ann")
	for i, header := range []string{"persistent", "auto-delete", "persistent", "auto-delete"} {
		taken(ann, header, strconv.Itoa(i%2))
	}
	send(ann, "persistent", "0")
	refused := ann.Error("your messages in queues that are kept in memory may take 100000 bytes on this node; try again later, or raise limits.user_memory_queue_bytes")
	require.Equal(t, "queue-full", refused.Get("code"))
	require.Equal(t, "5", refused.Get("retry-after"))
	ann = as(n, "ann")
	ann.Send(frames.BEGIN, "transaction", "t")
	send(ann, "persistent", "0", "transaction", "t")
	ann.Receipt("r")
	ann.Send(frames.COMMIT, "transaction", "t")
	ann.Error("limits.user_memory_queue_bytes")
	ann = as(n, "ann")
	ann.Send(frames.SEND, "destination", "/queue/disk", "receipt", "r", strings.Repeat("x", 24_000))
	ann.Receipt("r") // what is on disk is no part of it
	bob := as(n, "bob")
	taken(bob, "persistent", "0")
	taken(bob, "persistent", "0")
	send(bob, "persistent", "0")
	bob.Error("limits.node_memory_queue_bytes")

	consumer := as(n, "consumer")
	consumer.Subscribe("q", "/queue/1")
	for range 2 {
		consumer.Expect(frames.MESSAGE)
	}
	// A client has a message before the broker has acknowledged it.
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory["memory_queue"] < 4*26_000 }, test.Patience, time.Millisecond)
	taken(ann, "persistent", "2")
	elsewhere := as(other, "consumer")
	elsewhere.Subscribe("q", "/queue/0")
	for range 4 {
		elsewhere.Expect(frames.MESSAGE)
	}
	taken(ann, "persistent", "2")
	// This node has to ask what was consumed there, which it does once a second at most.
	require.Eventually(t, func() bool {
		c := as(n, "ann")
		defer c.Close()
		send(c, "persistent", "2")
		f, err := c.Next()
		return err == nil && f.Command == frames.RECEIPT
	}, test.Patience, 10*time.Millisecond)
}

func TestDurableSubscriptionsOfAUserAreBounded(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{UserDurables: 2})
	ann := as("ann")
	for _, id := range []string{"1", "2"} {
		ann.Subscribe(id, "/topic/chat.a", "durable", "true")
		ann.Send(frames.UNSUBSCRIBE, "id", id, "receipt", "u")
		ann.Receipt("u")
	}
	ann.Subscribe("1", "/topic/chat.a", "durable", "true") // as before
	ann.Send(frames.SUBSCRIBE, "id", "3", "destination", "/topic/chat.a", "durable", "true")
	require.Equal(t, "too-many-subscriptions", ann.Error("you have the limit of 2 durable subscriptions").Get("code"))
	bob := as("bob")
	bob.Subscribe("3", "/topic/chat.a", "durable", "true")
	again := as("ann")
	again.Send(frames.UNSUBSCRIBE, "id", "2", "durable", "true", "destination", "/topic/chat.a", "receipt", "u")
	again.Receipt("u")
	again.Subscribe("3", "/topic/chat.a", "durable", "true")
	require.EqualValues(t, 1, n.Broker.Stats().Limited["user_durables"])
}

// TestQueuesOfAUserAreBounded: those on disk with messages count for their sender until
// they are empty, and those that are consumed for the consumer.
func TestQueuesOfAUserAreBounded(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Queues: broker.ByteLimits{User: 1100, Node: 1 << 20}})
	send := func(c *test.Client, queue string, more ...string) {
		c.Send(frames.SEND, append([]string{"destination", "/queue/" + queue, "receipt", "r"}, append(more, "x")...)...)
	}
	ann := as("ann")
	for _, queue := range []string{"a", "b", "a", "b"} {
		send(ann, queue)
		ann.Receipt("r")
	}
	send(ann, "c")
	refused := ann.Error("may take 1100 bytes on this node; try again later, or raise limits.user_queue_bytes; nothing was stored")
	require.Equal(t, "queue-full", refused.Get("code"))
	require.Equal(t, "5", refused.Get("retry-after"))
	ann = as("ann")
	send(ann, "a")
	ann.Receipt("r") // one that there is
	send(ann, "c", "persistent", "false")
	ann.Receipt("r") // is none on disk
	ann.Send(frames.BEGIN, "transaction", "t")
	send(ann, "c", "transaction", "t")
	ann.Receipt("r")
	ann.Send(frames.COMMIT, "transaction", "t")
	ann.Error("limits.user_queue_bytes")
	bob := as("bob")
	send(bob, "c")
	bob.Receipt("r")

	bob.Send(frames.SUBSCRIBE, "id", "1", "destination", "/queue/d")
	require.Equal(t, "too-many-subscriptions", bob.Error("limits.user_queue_bytes").Get("code"))
	require.Equal(t, int64(3), n.Broker.Stats().Limited["user_queue_bytes"])

	for _, queue := range []string{"/queue/a", "/queue/b"} {
		_, err := n.Broker.Driver().QueueAdmin.PurgeQueue(t.Context(), queue)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { // the store is asked once a second at most
		c := as("ann")
		defer c.Close()
		send(c, "e")
		f, err := c.Next()
		return err == nil && f.Command == frames.RECEIPT
	}, test.Patience, 10*time.Millisecond)
}

// TestDestinationsOfHistoriesAreBounded: each counts for its sender, over all histories,
// while something of it is kept.
func TestDestinationsOfHistoriesAreBounded(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Histories: broker.ByteLimits{User: 650, Node: 1 << 20}})
	send := func(c *test.Client, destination string, more ...string) {
		c.Send(frames.SEND, append([]string{"destination", destination, "receipt", "r"}, append(more, "x")...)...)
	}
	ann := as("ann")
	for _, destination := range []string{"/topic/chat.a", "/user/bob/queue/notes", "/topic/chat.a", "/user/bob/queue/notes", "/topic/plain.a", "/queue/a"} {
		send(ann, destination)
		ann.Receipt("r")
	}
	send(ann, "/topic/short.c")
	refused := ann.Error("your destinations that histories keep, without their messages, may take 650 bytes on this node; try again later, or raise limits.user_history_bytes; nothing was stored")
	require.Equal(t, "memory-limit", refused.Get("code"))
	require.Equal(t, "5", refused.Get("retry-after"))
	ann = as("ann")
	send(ann, "/topic/chat.a")
	ann.Receipt("r") // one that there is
	ann.Send(frames.BEGIN, "transaction", "t")
	send(ann, "/topic/chat.c", "transaction", "t")
	ann.Receipt("r")
	ann.Send(frames.COMMIT, "transaction", "t")
	ann.Error("limits.user_history_bytes")
	all, err := auth.NewPermissions(auth.AllGrants(), "ann")
	require.NoError(t, err)
	_, err = n.Broker.Send(t.Context(), &auth.Principal{Name: "ann", Permissions: all}, broker.Publication{Destination: "/user/carol/queue/notes"})
	require.ErrorContains(t, err, "limits.user_history_bytes")
	require.Equal(t, int64(3), n.Broker.Stats().Limited["user_history_bytes"])
	bob := as("bob")
	send(bob, "/topic/chat.c")
	bob.Receipt("r")

	for _, key := range []string{"/topic/chat.a", "/topic/chat.c"} {
		_, err := n.Broker.Driver().HistoryAdmin.ClearHistory(t.Context(), "chat", key)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { // the store is asked once a second at most
		c := as("ann")
		defer c.Close()
		send(c, "/topic/chat.d")
		f, err := c.Next()
		return err == nil && f.Command == frames.RECEIPT
	}, test.Patience, 10*time.Millisecond)
}

// TestQueuesThatAUserConsumesAreBounded: each counts once, for who consumes it first, until the
// last consumer has gone.
func TestQueuesThatAUserConsumesAreBounded(t *testing.T) {
	t.Parallel()
	n, as := bounded(t, broker.Quotas{Queues: broker.ByteLimits{User: 2 << 16, Node: 1 << 20}})
	ann, again := as("ann"), as("ann")
	ann.Subscribe("1", "/queue/a")
	ann.Subscribe("2", "/queue/b")
	again.Subscribe("1", "/queue/a")
	again.Subscribe("2", "/queue/b")
	again.Subscribe("3", "/topic/c")
	again.Send(frames.SUBSCRIBE, "id", "4", "destination", "/queue/c")
	require.Equal(t, "too-many-subscriptions", again.Error("limits.user_queue_bytes").Get("code"))
	bob := as("bob")
	bob.Subscribe("1", "/queue/c")
	bob.Subscribe("2", "/queue/b")
	ann.Send(frames.UNSUBSCRIBE, "id", "1", "receipt", "u")
	ann.Receipt("u")
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory["queue"] == 2<<16 }, test.Patience, time.Millisecond)
	ann.Subscribe("1", "/queue/e")
	for _, c := range []*test.Client{ann, bob} {
		c.Send(frames.DISCONNECT, "receipt", "bye")
		c.Receipt("bye")
	}
	requireFree(t, n, "queue")
}
