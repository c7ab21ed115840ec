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
	queues, err := n.Relay.Driver().QueueAdmin.ListQueues(t.Context())
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
