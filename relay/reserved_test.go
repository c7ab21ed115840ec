package relay_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// reserved are headers that NATS, JetStream or a node could take for its own.
var reserved = []string{
	"Status", "503", "status", "100", "Description", "Batch Completed",
	"Nats-Stream", "stompbox_history_chat_x", "Nats-Sequence", "abc", "nats-sequence", "7", "Nats-Last-Sequence", "9", "Nats-Subject", "stompbox.history.chat.topic.chat.b",
	"Nats-Msg-Id", "/queue/orders%20order-17", "Nats-Batch-Id", "b", "Nats-Batch-Sequence", "1", "Nats-TTL", "1s", "Nats-Rollup", "all",
	"Nats-Expected-Stream", "none", "Nats-Expected-Last-Sequence", "99", "Nats-Trace-Dest", "stompbox.topic.trace", "traceparent", "00-0-0-01", "NATS-Schedule", "x",
	"stompbox-encoded", "user,stompbox-key,destination", "stompbox-session", "zzz", "stompbox-no-echo", "true", "stompbox-key", "/topic/other", "stompbox-headers", "=", "stompbox-taken", "true", "Stompbox-Headers", "user",
	"User", "root", "DESTINATION", "/topic/x", "%75ser", "root", "Nats%2DTTL", "1s",
	"odd name\r\nNats-TTL: 1s", " v\r\nNats-TTL: 1s ", "a:b", "%0D%0A", "twice", "one", "twice", "two", "empty", "",
}

// hasReserved wants all of them in a frame, in their order and as they were sent.
func hasReserved(t *testing.T, f *frames.Frame) {
	t.Helper()
	var got []string
	first := -1
	for i, h := range f.Headers {
		if h.Name == reserved[0] {
			first = i
			break
		}
	}
	require.GreaterOrEqual(t, first, 0, "%v", f.Headers)
	for _, h := range f.Headers[first:] {
		if len(got) < len(reserved) {
			got = append(got, h.Name, h.Value)
		}
	}
	require.Equal(t, reserved, got)
	require.Equal(t, "guest", f.Get("user"))
}

func sendReserved(c *test.Client, destination, body string) {
	all := append([]string{"destination", destination, "receipt", "sent " + body}, reserved...)
	c.Send(frames.SEND, append(all, body)...)
	c.Receipt("sent " + body)
}

func TestClientHeadersMeanNothingToNATSAndArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	o := test.Options{NATSPort: -1, Histories: []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat.**", 100)}}
	a := test.Start(t, o)
	o.NATSURL = a.Relay.ClientURL()
	b := test.Start(t, o)
	sender, far := test.Dial(t, a).Connect(), test.Dial(t, b).Connect()

	t.Run("topic", func(*testing.T) {
		far.Subscribe("t", "/topic/plain")
		sendReserved(sender, "/topic/plain", "to a topic")
		hasReserved(t, far.Message("to a topic"))
	})
	t.Run("user", func(*testing.T) {
		far.Subscribe("u", "/user/queue/x")
		sendReserved(sender, "/user/guest/queue/x", "to a user")
		hasReserved(t, far.Message("to a user"))
	})
	t.Run("history", func(*testing.T) {
		far.Subscribe("h", "/topic/chat.a")
		far.Subscribe("w", "/topic/chat.*")
		for _, body := range []string{"kept 1", "kept 2"} {
			sendReserved(sender, "/topic/chat.a", body)
			hasReserved(t, far.Message(body))
			hasReserved(t, far.Message(body))
		}
		late := test.Dial(t, b).Connect()
		late.Subscribe("h", "/topic/chat.a", "replay-last", "9")
		hasReserved(t, late.Message("kept 1"))
		hasReserved(t, late.Message("kept 2"))
		late.Subscribe("w", "/topic/chat.*", "replay-last", "9")
		hasReserved(t, late.Message("kept 1"))
		hasReserved(t, late.Message("kept 2"))
	})
	t.Run("queue", func(*testing.T) {
		sendReserved(sender, "/queue/orders", "") // without a body NATS could take it for a status
		sender.Send(frames.SEND, "destination", "/queue/orders", "dedup-id", "order-17", "receipt", "r", "the order")
		sender.Receipt("r")
		far.Subscribe("q", "/queue/orders")
		hasReserved(t, far.Message(""))
		far.Message("the order")
	})
	t.Run("transaction", func(*testing.T) {
		sender.Send(frames.BEGIN, "transaction", "t")
		for range 2 {
			sender.Send(frames.SEND, append(append([]string{"destination", "/queue/tx", "transaction", "t"}, reserved...), "of it")...)
		}
		sender.Send(frames.COMMIT, "transaction", "t", "receipt", "commit")
		sender.Receipt("commit")
		far.Subscribe("tx", "/queue/tx")
		hasReserved(t, far.Message("of it"))
		hasReserved(t, far.Message("of it"))
	})
	t.Run("move", func(*testing.T) {
		sendReserved(sender, "/queue/from", "")
		moved, err := a.Relay.Driver().QueueAdmin.MoveQueue(t.Context(), "/queue/from", 10, func(*driver.Message) (string, driver.QueueOptions) {
			return "/queue/to", driver.QueueOptions{}
		})
		require.NoError(t, err)
		require.Equal(t, 1, moved)
		far.Subscribe("to", "/queue/to")
		hasReserved(t, far.Message(""))
	})
	t.Run("request and reply", func(*testing.T) {
		app := test.Dial(t, b).Connect()
		app.Subscribe("app", "/app/echo")
		sender.Subscribe("temp", "/user/queue/none")
		sender.Send(frames.SEND, append(append([]string{"destination", "/app/echo", "reply-to", "/temp-queue/a"}, reserved...), "ask")...)
		request := app.Message("ask")
		hasReserved(t, request)
		app.Send(frames.SEND, append(append([]string{"destination", request.Get("reply-to")}, reserved...), "answer")...)
		hasReserved(t, sender.Message("answer"))
	})
}

func TestDeadLettersKeepTheHeadersOfTheirSender(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: 1}}}})
	c := test.Dial(t, n).Connect()
	sendReserved(c, "/queue/bad", "x")
	// A message that its sender calls as the broker calls copies does not stand in for one.
	c.Subscribe("q", "/queue/bad", "ack", "client-individual")
	f := c.Message("x")
	c.Send(frames.SEND, "destination", "/queue/DLQ.bad", "dedup-id", "dead "+f.Get("message-id"), "receipt", "forged", "forged")
	c.Receipt("forged")
	c.Send(frames.NACK, "id", f.Get("ack"))
	d := test.Dial(t, n).Connect()
	d.Subscribe("d", "/queue/DLQ.bad")
	d.Message("forged")
	hasReserved(t, d.Message("x"))
}

func TestHistoriesRefuseLiveMessagesThatAreNotTheirs(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1, Histories: []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat.**", 100)}})
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/chat.a")
	sender := test.Dial(t, n).Connect()
	sender.SendKept("/topic/chat.a", "one")
	id := c.Message("one").Get("message-id")
	ctx, cancel := context.WithTimeout(t.Context(), test.Patience)
	defer cancel()
	stream, err := js.StreamNameBySubject(ctx, "stompbox.history.chat.>")
	require.NoError(t, err)
	for _, header := range []nats.Header{
		{"Nats-Stream": {stream}},
		{"Nats-Stream": {stream}, "Nats-Subject": {"stompbox.history.chat.topic.chat.a"}, "Nats-Sequence": {"abc"}},
		{"Nats-Stream": {stream}, "Nats-Subject": {"stompbox.history.chat.topic.chat.a"}, "Nats-Sequence": {"0"}},
		{"Nats-Stream": {stream}, "Nats-Subject": {"stompbox.history.chat.topic.chat.b"}, "Nats-Sequence": {strconv.Itoa(1 << 40)}},
	} {
		require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: "stompbox.topic.chat.a", Header: header, Data: []byte("forged")}))
	}
	// What a program stores with such headers has JetStream's place all the same.
	_, err = js.PublishMsg(ctx, &nats.Msg{Subject: "stompbox.history.chat.topic.chat.a", Header: nats.Header{
		"Nats-Stream": {"other"}, "Nats-Sequence": {"abc"}, "Nats-Subject": {"x"}, "Status": {"active"},
	}, Data: []byte("two")})
	require.NoError(t, err)
	c.Message("two")
	sender.SendKept("/topic/chat.a", "three")
	c.Message("three")
	late := test.Dial(t, n).Connect()
	late.Subscribe("s", "/topic/chat.a", "last-event-id", id)
	late.Message("two")
	late.Message("three")
	c.Quiet()
}

// TestStoredMessagesOfTheFormerFormatAreDelivered has JetStream hold what an earlier
// version wrote, control headers of its clients among it.
func TestStoredMessagesOfTheFormerFormatAreDelivered(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1, Histories: []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat.**", 100)}})
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/chat.a")
	sender := test.Dial(t, n).Connect()
	sender.SendKept("/topic/chat.a", "makes the stream")
	c.Message("makes the stream")
	former := func(key string) nats.Header {
		return nats.Header{
			"stompbox-key": {key}, "destination": {key}, "message-id": {"old-1"}, "timestamp": {strconv.FormatInt(time.Now().UnixMilli(), 10)}, "user": {"alice"}, "session": {"s1"},
			"odd%20name": {"%20v"}, "stompbox-encoded": {"odd%20name"}, "Status": {"active"}, "Nats-Sequence": {"abc"},
		}
	}
	sender.SendKept("/queue/old", "makes the stream")
	for subject, key := range map[string]string{"stompbox.queue.old": "/queue/old", "stompbox.history.chat.topic.chat.a": "/topic/chat.a"} {
		_, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: former(key), Data: []byte("old")}, test.Patience)
		require.NoError(t, err)
	}
	check := func(f *frames.Frame) {
		require.Equal(t, "alice", f.Get("user"))
		require.Equal(t, " v", f.Get("odd name"))
		require.Equal(t, "active", f.Get("Status"))
	}
	check(c.Message("old"))
	late := test.Dial(t, n).Connect()
	late.Subscribe("s", "/topic/chat.a", "replay-last", "9")
	late.Message("makes the stream")
	check(late.Message("old"))
	late.Subscribe("q", "/queue/old")
	late.Message("makes the stream")
	check(late.Message("old"))
}
