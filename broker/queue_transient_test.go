package broker_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

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

	// The first that is ever kept in memory reaches those that are subscribed already.
	hub := test.Start(t, test.Options{NATSPort: -1})
	early := test.Dial(t, hub).Connect()
	early.Subscribe("e", "/queue/early")
	late := test.Dial(t, test.Start(t, test.Options{NATSURL: hub.Relay.ClientURL()})).Connect()
	late.Send(frames.SEND, "destination", "/queue/early", "persistent", "false", "first")
	early.Message("first")

	// Spring's queue of one session: no one is there, so nothing is kept.
	spring := "/queue/position-updates-user8f14e45f-ceea-467f-a0e6-123456789abc"
	c.Send(frames.SEND, "destination", spring, "nobody hears")
	for _, pairs := range [][]string{{"receipt", "2"}, {"transaction", "t"}} {
		asks := test.Dial(t, n).Connect()
		asks.Send(frames.BEGIN, "transaction", "t")
		asks.Send(frames.SEND, append(pairs, "destination", spring, "nobody hears")...)
		asks.Send(frames.COMMIT, "transaction", "t")
		asks.Error("this transient queue has no consumer")
	}
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

	queues, err := n.Relay.Driver().QueueAdmin.ListQueues(t.Context())
	require.NoError(t, err)
	for _, q := range queues {
		require.NotContains(t, q.Name, "position-updates", "a transient queue is not stored")
	}
}

// TestAQueueHasOneName: RabbitMQ's auto-delete on one side makes no second queue.
func TestAQueueHasOneName(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	far := test.Start(t, test.Options{NATSURL: n.Relay.ClientURL()})
	for i, subscribe := range [][]string{nil, {"auto-delete", "true", "durable", "false", "exclusive", "true"}} {
		for j, send := range [][]string{nil, {"auto-delete", "true"}} {
			for k, node := range []*test.Node{n, far} {
				queue := "/queue/replies" + strconv.Itoa(4*i+2*j+k)
				sender, c := test.Dial(t, node).Connect(), test.Dial(t, n).Connect()
				sender.Send(frames.SEND, append(send, "destination", queue, "receipt", "r", "before")...)
				sender.Receipt("r")
				c.Subscribe("r", queue, subscribe...)
				c.Message("before")
				sender.Send(frames.SEND, append(send, "destination", queue, "receipt", "r", "answer")...)
				sender.Receipt("r")
				c.Message("answer")
				c.Close()
			}
		}
	}
}

// TestOnlySpringsQueuesAreTakenForThem: eight letters after -user may be a word.
func TestOnlySpringsQueuesAreTakenForThem(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for _, name := range []string{"sync-useraccounts", "export-userprofiles", "mail-usersettings", "x-userabcdefgh"} {
		for _, origin := range [][]string{nil, {"simpOrigDestination", "/user/queue/other"}, {"simpOrigDestination", "/user"}} {
			c.Send(frames.SEND, append(origin, "destination", "/queue/"+name, "receipt", "r", "kept")...)
			c.Receipt("r")
			later := test.Dial(t, n).Connect()
			later.Subscribe("q", "/queue/"+name, append(origin, "ack", "client")...)
			later.Send(frames.ACK, "id", later.Message("kept").Get("ack"), "receipt", "a")
			later.Receipt("a")
			later.Close()
		}
	}
	// What Spring's relay sends for a session of SockJS.
	spring := []string{"destination", "/queue/x-userabcdefgh", "simpOrigDestination", "/user/queue/x"}
	c.Send(frames.SUBSCRIBE, append(spring, "id", "s", "receipt", "s")...)
	c.Receipt("s")
	c.Send(frames.SEND, append(spring, "receipt", "r", "to the session")...)
	bodies := map[string]bool{}
	for range 2 {
		f, err := c.Next()
		require.NoError(t, err)
		bodies[f.Command+string(f.Body)] = true
	}
	require.Equal(t, map[string]bool{"RECEIPT": true, "MESSAGEto the session": true}, bodies)
	c.Send(frames.UNSUBSCRIBE, "id", "s")
	c.Send(frames.SEND, append(spring, "receipt", "gone", "to no consumer")...)
	require.Equal(t, "gone", c.Error("has no consumer").Get("receipt-id"))
	// Other clients of SockJS choose other ids; Spring's own takes a UUID without its hyphens.
	for _, session := range []string{"8f14e45fceea467fa0e6123456789abc", "x7z9q0k8", "Ab_9-Z"} {
		c := test.Dial(t, n).Connect()
		c.Send(frames.SEND, "destination", "/queue/x-user"+session, "simpOrigDestination", "/user/queue/x", "receipt", "gone", "to no consumer")
		require.Equal(t, "gone", c.Error("has no consumer").Get("receipt-id"))
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
