package broker_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// reject sends a NACK with requeue:false and waits for its RECEIPT.
func reject(c *test.Client, headers ...string) {
	c.Send(frames.NACK, append(headers, "requeue", "false", "receipt", "rejected")...)
	c.Receipt("rejected")
}

// TestRejectedMessagesAreDeadAtOnce, in each version and mode, on disk and in memory, for consumers
// on either of two nodes, over TCP and WebSocket.
func TestRejectedMessagesAreDeadAtOnce(t *testing.T) {
	t.Parallel()
	for scene, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		for name, dial := range map[string]func(testing.TB, *test.Node) *test.Client{"ws": test.Dial, "tcp": test.DialTCP} {
			for _, version := range []string{"1.1", "1.2"} {
				for _, persistent := range []string{"true", "false"} {
					t.Run(strings.Join([]string{scene, name, version, persistent}, " "), func(t *testing.T) {
						queue := strings.Join([]string{"/queue/reject", name, version, persistent}, ".")
						letters := test.Dial(t, nodes[0]).Connect()
						letters.Subscribe("d", "/queue/DLQ."+strings.TrimPrefix(queue, "/queue/"), "ack", "client")
						dead := func(body string) {
							t.Helper()
							f := letters.Message(body)
							require.Equal(t, queue, f.Get("dead-letter-origin"))
							require.Equal(t, "rejected", f.Get("dead-letter-reason"))
							require.Equal(t, "1", f.Get("dead-letter-count"))
							require.Equal(t, "green", f.Get("colour"))
						}
						c := dial(t, nodes[1]).Connect("accept-version", version)
						c.Subscribe("q", queue, "ack", "client-individual")
						for _, body := range numbered(4) {
							c.Send(frames.SEND, "destination", queue, "persistent", persistent, "colour", "green", body)
						}
						held, _ := messages(c, 4)
						reject(c, ackHeaders(version, held[1])...)
						dead("m1")
						c.Send(frames.BEGIN, "transaction", "t")
						c.Send(frames.NACK, append(ackHeaders(version, held[2]), "requeue", "False", "transaction", "t")...)
						c.Send(frames.ABORT, "transaction", "t")
						c.Send(frames.BEGIN, "transaction", "t")
						c.Send(frames.NACK, append(ackHeaders(version, held[3]), "requeue", "False", "transaction", "t")...)
						c.Send(frames.COMMIT, "transaction", "t", "receipt", "committed")
						c.Receipt("committed")
						dead("m3")
						c.Close()

						c = dial(t, nodes[1]).Connect("accept-version", version)
						c.Subscribe("q", queue, "ack", "client")
						held, bodies := messages(c, 2)
						require.Equal(t, []string{"m0", "m2"}, bodies)
						c.Send(frames.NACK, append(ackHeaders(version, held[1]), "requeue", "true")...)
						held, bodies = messages(c, 2)
						require.Equal(t, []string{"m0", "m2"}, bodies, "to come again is what they do without the header")
						c.Send(frames.NACK, append(ackHeaders(version, held[1]), "requeue", "false", "receipt", "all")...)
						c.Receipt("all")
						_, bodies = messages(letters, 2)
						require.Equal(t, []string{"m0", "m2"}, bodies, "with all before it, in their order")
						c.Close()
						rest := test.Dial(t, nodes[0]).Connect()
						rest.Subscribe("q", queue)
						rest.Quiet()
						letters.Quiet()
						rest.Close()
						letters.Close()
					})
				}
			}
		}
	}
}

// TestRejectedMessagesStayWhereNoDeadLetterFits: the client learns it, and gets them again.
func TestRejectedMessagesStayWhereNoDeadLetterFits(t *testing.T) {
	t.Parallel()
	match, err := destination.ParsePattern("/queue/DLQ.tight")
	require.NoError(t, err)
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{Policies: []broker.QueuePolicy{{Match: match, MaxMessages: 1}}}}})
	c := test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/tight", "first", "second")
	c.Subscribe("q", "/queue/tight", "ack", "client-individual")
	first, second := c.Message("first"), c.Message("second")
	reject(c, "id", first.Get("ack"))
	c.Send(frames.NACK, "id", second.Get("ack"), "requeue", "false", "receipt", "full")
	f := c.Error("the move to the dead letters could not be confirmed")
	require.Equal(t, "queue-full", f.Get("code"))
	require.Equal(t, "full", f.Get("receipt-id"))
	c = test.Dial(t, n).Connect()
	c.Subscribe("q", "/queue/tight", "ack", "client-individual")
	c.Message("second")
	c.Quiet()
}

// TestADurableSubscriptionPassesOverWhatItsClientRejects, and the history keeps it.
func TestADurableSubscriptionPassesOverWhatItsClientRejects(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "kept", "/topic/kept", 100)}})
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/kept", "durable", "true", "ack", "client-individual")
	for _, body := range numbered(3) {
		c.Send(frames.SEND, "destination", "/topic/kept", body)
	}
	held, _ := messages(c, 3)
	reject(c, "id", held[1].Get("ack"))
	c.Close()
	c = test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/kept", "durable", "true", "ack", "client-individual")
	_, bodies := messages(c, 2)
	require.Equal(t, []string{"m0", "m2"}, bodies)
	c.Quiet()
	c.Close()
	c = test.Dial(t, n).Connect()
	c.Send(frames.SUBSCRIBE, "id", "all", "destination", "/topic/kept", "replay-last", "10")
	_, bodies = messages(c, 3)
	require.Equal(t, numbered(3), bodies)
	require.Contains(t, n.Log.String(), "a durable subscription passes over messages that its client rejected")
}

// TestRejectIsRefusedWhereThereAreNoDeadLetters, before anything happens, also in a transaction.
func TestRejectIsRefusedWhereThereAreNoDeadLetters(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for _, transaction := range []string{"", "t"} {
		for dest, says := range map[string]string{
			"/topic/live":      "a topic without a durable subscription has no dead letters",
			"/queue/DLQ.other": "a queue of dead letters has no dead letters",
			"/queue/a-user8f14e45f-ceea-467f-a0e6-123456789abc": "a transient queue has no dead letters",
		} {
			c := test.Dial(t, n).Connect()
			c.Subscribe("s", dest, "ack", "client-individual", "prefetch-count", "1")
			c.Send(frames.SEND, "destination", dest, "x")
			headers := []string{"id", c.Message("x").Get("ack"), "requeue", "false", "receipt", "r"}
			if transaction != "" {
				c.Send(frames.BEGIN, "transaction", transaction)
				headers = append(headers, "transaction", transaction)
			}
			c.Send(frames.NACK, headers...)
			f := c.Error(says)
			require.Equal(t, "bad-header", f.Get("code"))
			require.Equal(t, "r", f.Get("receipt-id"))
			c.Close()
		}
	}
	c := test.Dial(t, n).Connect()
	c.Subscribe("d", "/queue/DLQ.other")
	c.Message("x") // it is there still
	c.Message("x")

	c.Send(frames.NACK, "id", "gone/1", "requeue", "false", "receipt", "stale")
	c.Receipt("stale")
	c.Send(frames.NACK, "id", "gone/1", "requeue", "never", "receipt", "r")
	require.Equal(t, "bad-header", c.Error(`requeue "never" is neither true nor false`).Get("code"))
}

// TestARejectedRequestFails: its sender learns that at once, and no other app server gets it.
func TestARejectedRequestFails(t *testing.T) {
	t.Parallel()
	for _, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		servers := []*test.Client{test.Dial(t, nodes[0]).Connect(), test.Dial(t, nodes[0]).Connect()}
		servers[0].Subscribe("s", "/app/work", "ack", "client-individual")
		client := test.Caller(t, nodes[1], "ann")
		client.Subscribe("e", "/user/queue/errors")
		client.Send(frames.SEND, "destination", "/app/work", "reply-to", "/temp-queue/r", "correlation-id", "7", "x")
		client.Send(frames.SEND, "destination", "/app/work", "y")
		x, y := servers[0].Message("x"), servers[0].Message("y")
		servers[1].Subscribe("s", "/app/work")
		reject(servers[0], "id", x.Get("ack"))
		f := client.Message("the app server rejected the request")
		require.Equal(t, "app-failed", f.Get("code"))
		require.Equal(t, "7", f.Get("correlation-id"))
		require.Equal(t, "/temp-queue/r", f.Get("subscription"))
		reject(servers[0], "id", y.Get("ack"))
		require.Equal(t, "e", client.Message("the app server rejected the request").Get("subscription"))
		servers[0].Close()
		servers[1].Quiet()
	}
}

// TestWhatWasMovedBackDiesAgain: the second dead letter is not taken for the first.
func TestWhatWasMovedBackDiesAgain(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"rejected", "max-deliveries"} {
		n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: 1}}}})
		c := test.Dial(t, n).Connect()
		enqueue(t, c, "/queue/back", "x")
		c.Subscribe("q", "/queue/back", "ack", "client-individual")
		for range 3 {
			f := c.Message("x")
			c.Send(frames.NACK, "id", f.Get("ack"), "requeue", strconv.FormatBool(reason == "max-deliveries"))
			peek := test.Dial(t, n).Connect()
			peek.Subscribe("d", "/queue/DLQ.back", "ack", "client")
			require.Equal(t, reason, peek.Message("x").Get("dead-letter-reason"))
			peek.Close()
			require.Eventually(t, func() bool {
				moved, err := n.Relay.Driver().QueueAdmin.MoveQueue(t.Context(), "/queue/DLQ.back", 10, func(m *driver.Message) (string, driver.QueueOptions) {
					return m.Dead.Origin, driver.QueueOptions{}
				})
				require.NoError(t, err)
				return moved == 1
			}, time.Minute, time.Millisecond)
		}
		c.Message("x")
	}
}

// TestDeadLettersOfAQueueInMemoryAreToldApart: the ids of its messages begin again once the server
// was restarted, and the dead letters on disk remember those of before.
func TestDeadLettersOfAQueueInMemoryAreToldApart(t *testing.T) {
	t.Parallel()
	hub := test.Start(t, test.Options{NATSPort: -1})
	nc, err := nats.Connect(hub.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	var ids []string
	for _, body := range []string{"before", "after"} {
		n := test.Start(t, test.Options{NATSURL: hub.Relay.ClientURL()})
		c := test.Dial(t, n).Connect()
		c.Subscribe("q", "/queue/memory", "ack", "client-individual")
		c.Send(frames.SEND, "destination", "/queue/memory", "persistent", "false", "makes the stream")
		c.Message("makes the stream")
		_, err := js.Publish(t.Context(), "stompbox.memory.queue.memory", []byte(body)) // a native program's has no id of its own
		require.NoError(t, err)
		f := c.Message(body)
		ids = append(ids, f.Get("message-id"))
		reject(c, "id", f.Get("ack"))
		c.Close()
		require.NoError(t, js.DeleteStream(t.Context(), "stompbox_queues_memory"))
	}
	require.Equal(t, ids[0], ids[1])
	c := test.Dial(t, hub).Connect()
	c.Subscribe("d", "/queue/DLQ.memory")
	c.Message("before")
	c.Message("after")
}

// TestANativeMessageKeepsItsTime: one without a timestamp has the time at which it was stored, at
// each delivery.
func TestANativeMessageKeepsItsTime(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	c := test.Dial(t, n).Connect()
	c.Subscribe("q", "/queue/native", "ack", "client-individual")
	_, err = js.Publish(t.Context(), "stompbox.queue.native", []byte("x"))
	require.NoError(t, err)
	f := c.Message("x")
	s, err := js.Stream(t.Context(), "stompbox_queues")
	require.NoError(t, err)
	stored, err := s.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	for range 3 {
		require.Equal(t, strconv.FormatInt(stored.Time.UnixMilli(), 10), f.Get("timestamp"))
		time.Sleep(5 * time.Millisecond) // another time, by the clock of the broker
		c.Send(frames.NACK, "id", f.Get("ack"))
		f = c.Message("x")
	}
}
