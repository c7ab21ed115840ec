package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/relay"
)

func TestAcknowledgementsOnTopics(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	publish := func(bodies ...string) {
		c := test.Dial(t, n).Connect()
		for _, b := range bodies {
			c.Send(frames.SEND, "destination", "/topic/a", b)
		}
		c.Quiet()
	}
	c12, c11, c10 := test.Dial(t, n).Connect(), test.Dial(t, n).Connect("accept-version", "1.1"), test.Dial(t, n).Connect("accept-version", "1.0")
	c12.Subscribe("s", "/topic/a", "ack", "client-individual")
	c11.Subscribe("s", "/topic/a", "ack", "client")
	c10.Subscribe("s", "/topic/a", "ack", "client")
	publish("1", "2", "3")
	var ids12, ids11, ids10 []string
	for _, body := range []string{"1", "2", "3"} {
		ids12 = append(ids12, c12.Message(body).Get("ack"))
		f := c11.Message(body)
		require.Empty(t, f.Get("ack"), "1.1 has no ack header")
		ids11 = append(ids11, f.Get("message-id"))
		ids10 = append(ids10, c10.Message(body).Get("message-id"))
	}
	c12.Send(frames.ACK, "id", ids12[2], "receipt", "a")
	c12.Receipt("a")
	c12.Send(frames.NACK, "id", ids12[0], "receipt", "b")
	c12.Receipt("b")
	c12.Send(frames.ACK, "id", ids12[2], "receipt", "twice")
	require.Equal(t, "twice", c12.Error("no message with id").Get("receipt-id"))

	c11.Send(frames.ACK, "message-id", ids11[1], "subscription", "s", "receipt", "a")
	c11.Receipt("a")
	c11.Send(frames.ACK, "message-id", ids11[0], "subscription", "s")
	c11.Error("no message with id") // acknowledged with the one after it

	c10.Send(frames.ACK, "message-id", ids10[2], "receipt", "a")
	c10.Receipt("a")
	c10.Send(frames.NACK, "message-id", ids10[2])
	c10.Error("NACK exists since STOMP 1.1")
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
