package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
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
	c12.Receipt("twice") // what is gone needs no acknowledgement
	require.EqualValues(t, 1, n.Broker.Stats().Stale)
	c12.Send(frames.ACK, "id", "never", "receipt", "wrong")
	require.Equal(t, "wrong", c12.Error("no message with id").Get("receipt-id"), "it is no ack header of any MESSAGE")

	c11.Send(frames.ACK, "message-id", ids11[1], "subscription", "s", "receipt", "a")
	c11.Receipt("a")
	c11.Send(frames.ACK, "message-id", ids11[0], "subscription", "s", "receipt", "b")
	c11.Receipt("b") // acknowledged with the one after it
	require.EqualValues(t, 2, n.Broker.Stats().Stale)

	c10.Send(frames.ACK, "message-id", ids10[2], "receipt", "a")
	c10.Receipt("a")
	c10.Send(frames.NACK, "message-id", ids10[2])
	c10.Error("NACK requires STOMP 1.1 or later")
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

// messages returns the next MESSAGEs, whatever their order.
func messages(c *test.Client, n int) (all []*frames.Frame, bodies []string) {
	for range n {
		f := c.Expect(frames.MESSAGE)
		all, bodies = append(all, f), append(bodies, string(f.Body))
	}
	return all, bodies
}

// ackHeaders are what ACK and NACK of a version name a delivery by.
func ackHeaders(version string, f *frames.Frame) []string {
	if version == "1.2" {
		return []string{"id", f.Get("ack")}
	}
	return []string{"message-id", f.Get("message-id"), "subscription", "q"}
}

// TestNackIsCumulativeInClientMode, on each kind of queue.
func TestNackIsCumulativeInClientMode(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "kept", "/topic/kept", 100)}})
	for _, version := range []string{"1.1", "1.2"} {
		for _, kind := range []struct {
			dest    string
			headers []string
		}{
			{"/queue/nack." + version, nil},
			{"/queue/nack-user8f14e45f-ceea-467f-a0e6-" + strings.ReplaceAll(version, ".", "0") + "456789abc", nil},
			{"/topic/kept", []string{"durable", "true", "auto-delete", "false"}},
		} {
			c := test.Dial(t, n).Connect("accept-version", version)
			c.Subscribe("q", kind.dest, append(kind.headers, "ack", "client")...)
			for _, body := range numbered(4) {
				c.Send(frames.SEND, append([]string{"destination", kind.dest}, append(kind.headers, body)...)...)
			}
			first, bodies := messages(c, 4)
			require.Equal(t, numbered(4), bodies)
			c.Send(frames.NACK, ackHeaders(version, first[2])...)
			again, bodies := messages(c, 3)
			require.Equal(t, numbered(3), bodies, "%s: with all before it, in their order", kind.dest)
			require.Equal(t, "true", again[0].Get("redelivered"))

			// The ACK of what went out before does not take along what came again.
			c.Send(frames.ACK, append(ackHeaders(version, first[3]), "receipt", "a")...)
			c.Receipt("a")
			c.Send(frames.NACK, ackHeaders(version, again[2])...)
			again, bodies = messages(c, 3)
			require.Equal(t, numbered(3), bodies)
			c.Send(frames.ACK, append(ackHeaders(version, again[2]), "receipt", "all")...)
			c.Receipt("all")
			c.Send(frames.UNSUBSCRIBE, append([]string{"id", "q", "receipt", "u"}, kind.headers...)...)
			c.Receipt("u")
			require.Zero(t, n.Broker.Stats().Stale)
			c.Close()
			rest := test.Dial(t, n).Connect()
			rest.Subscribe("q", kind.dest, kind.headers...)
			rest.Quiet()
			rest.Close()
		}
	}
}

// TestAnAckNamesOneDelivery: two subscriptions that hold one message, a message that
// came again, and what an earlier session was given.
func TestAnAckNamesOneDelivery(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "kept", "/topic/kept.**", 100)}})
	c := test.Dial(t, n).Connect()
	c.Subscribe("exact", "/topic/kept.a", durable...)
	c.Subscribe("pattern", "/topic/kept.*", durable...)
	c.Subscribe("live1", "/topic/kept.a", "ack", "client")
	c.Subscribe("live2", "/topic/kept.>", "ack", "client")
	sender := test.Dial(t, n).Connect()
	sender.Send(frames.SEND, "destination", "/topic/kept.a", "x")
	all, _ := messages(c, 4)
	acks := map[string]string{}
	for _, f := range all {
		require.NotEqual(t, f.Get("message-id"), f.Get("ack"))
		for _, other := range acks {
			require.NotEqual(t, other, f.Get("ack"))
		}
		acks[f.Get("subscription")] = f.Get("ack")
	}
	c.Send(frames.ACK, "id", acks["pattern"], "receipt", "pattern")
	c.Receipt("pattern")
	c.Send(frames.ACK, "id", acks["live1"], "receipt", "live1")
	c.Receipt("live1")
	c.Send(frames.NACK, "id", acks["live2"], "receipt", "live2")
	c.Receipt("live2")
	require.Zero(t, n.Broker.Stats().Stale)
	c.Close()

	c = test.Dial(t, n).Connect()
	c.Subscribe("pattern", "/topic/kept.*", durable...)
	c.Subscribe("exact", "/topic/kept.a", durable...)
	f := c.Message("x")
	require.Equal(t, "exact", f.Get("subscription"))
	c.Send(frames.ACK, "id", acks["exact"], "receipt", "earlier")
	c.Receipt("earlier") // of the session before, which names no delivery of this one
	require.EqualValues(t, 1, n.Broker.Stats().Stale)
	c.Send(frames.ACK, "id", f.Get("message-id"), "receipt", "by message")
	c.Receipt("by message") // clients before 1.2 name the message, where that is clear
	require.EqualValues(t, 1, n.Broker.Stats().Stale)
	c.Close()
	c = test.Dial(t, n).Connect()
	c.Subscribe("exact", "/topic/kept.a", durable...)
	c.Quiet()
}

// TestAnAckNamesItsSubscription: where two subscriptions hold one message, the
// subscription counts in every version in which the frame has the message-id, and
// without it 1.2 clients learn that it is not clear which of them is meant.
func TestAnAckNamesItsSubscription(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "kept", "/topic/kept.**", 100)}})
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		destination := "/topic/kept." + version
		dial := func() *test.Client {
			c := test.Dial(t, n).Connect("accept-version", version)
			c.Subscribe("first", destination, durable...)
			c.Subscribe("second", destination, durable...)
			return c
		}
		c := dial()
		sender := test.Dial(t, n).Connect()
		for _, body := range numbered(3) {
			sender.Send(frames.SEND, "destination", destination, body)
		}
		all, _ := messages(c, 6)
		ids := map[string]string{}
		for _, f := range all {
			ids[string(f.Body)] = f.Get("message-id")
		}
		header := map[string]string{"1.0": "message-id", "1.1": "message-id", "1.2": "id"}[version]
		c.Send(frames.ACK, header, ids["m2"], "subscription", "first", "receipt", "first")
		c.Receipt("first")
		c.Send(frames.ACK, header, ids["m0"], "subscription", "second", "receipt", "second")
		c.Receipt("second")
		c.Close()

		c = dial()
		for _, body := range []string{"m1", "m2"} {
			require.Equal(t, "second", c.Message(body).Get("subscription"), version)
		}
		c.Quiet()
		if version == "1.2" {
			sender.Send(frames.SEND, "destination", destination, "both")
			both, _ := messages(c, 2)
			c.Send(frames.ACK, "id", both[0].Get("message-id"), "receipt", "unclear")
			require.Equal(t, "unclear", c.Error("2 subscriptions hold the message").Get("receipt-id"))
		}
		c.Close()
	}
}

// TestFramesForWhatIsGoneAreHarmless: they are confirmed and counted, in every
// version, and transactions carry them.
func TestFramesForWhatIsGoneAreHarmless(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	enqueue(t, test.Dial(t, n).Connect(), "/queue/gone", "x")
	stale := int64(0)
	for _, version := range []string{"1.2", "1.1", "1.0"} {
		c := test.Dial(t, n).Connect("accept-version", version)
		c.Subscribe("q", "/queue/gone", "ack", "client")
		f := c.Message("x")
		ended := test.Dial(t, n).Connect("accept-version", version)
		confirmed := func(command string, headers ...string) {
			t.Helper()
			ended.Send(command, append(headers, "receipt", "r")...)
			ended.Receipt("r")
			stale++
			require.Equal(t, stale, n.Broker.Stats().Stale)
		}
		confirmed(frames.UNSUBSCRIBE, "id", "9")
		confirmed(frames.ACK, ackHeaders(version, f)...)
		if version != "1.0" {
			confirmed(frames.NACK, ackHeaders(version, f)...)
		} else {
			confirmed(frames.UNSUBSCRIBE, "destination", "/topic/never")
		}
		ended.Send(frames.BEGIN, "transaction", "t")
		confirmed(frames.ACK, append(ackHeaders(version, f), "transaction", "t")...)
		ended.Send(frames.COMMIT, "transaction", "t", "receipt", "t")
		ended.Receipt("t")
		c.Close()
	}
	c := test.Dial(t, n).Connect()
	c.Subscribe("q", "/queue/gone")
	c.Message("x") // no client took it
}
