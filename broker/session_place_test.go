package broker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// expectReceipt wants the RECEIPT of a SUBSCRIBE, and returns the place that it has.
func expectReceipt(t *testing.T, c *test.Client, id string, incomplete bool) string {
	t.Helper()
	f := c.Expect(frames.RECEIPT)
	require.Equal(t, id, f.Get("receipt-id"))
	require.Equal(t, incomplete, f.Get("replay") == "incomplete")
	return f.Get("last-event-id")
}

func TestReceiptOfASubscribeHasThePlace(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	sender := test.Dial(t, n).Connect()
	as := func(user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
	}
	for _, kept := range []struct{ subscribe, send string }{
		{"/topic/chat.a", "/topic/chat.a"}, {"/topic/chat.**", "/topic/chat.b"}, {"/user/queue/notes", "/user/alice/queue/notes"},
	} {
		first := as("alice")
		place := first.Subscribe("s", kept.subscribe).Get("last-event-id")
		require.NotEmpty(t, place, "a subscriber has a place before its first message")
		first.Close()
		for _, body := range []string{"1", "2", "3"} {
			sender.SendKept(kept.send, body)
		}
		second := as("alice")
		second.Send(frames.SUBSCRIBE, "id", "s", "destination", kept.subscribe, "receipt", "r", "last-event-id", place)
		for _, body := range []string{"1", "2", "3"} {
			second.Message(body)
		}
		place = expectReceipt(t, second, "r", false) // where the past ends
		sender.SendKept(kept.send, "4")
		live := second.Message("4").Get("message-id")
		second.Send(frames.SUBSCRIBE, "id", "last", "destination", kept.subscribe, "receipt", "r", "replay-last", "2")
		second.Message("3")
		require.Equal(t, live, second.Message("4").Get("message-id"))
		require.Equal(t, live, expectReceipt(t, second, "r", false))
		second.Send(frames.SUBSCRIBE, "id", "again", "destination", kept.subscribe, "receipt", "r", "last-event-id", place)
		second.Message("4")
		require.Equal(t, live, expectReceipt(t, second, "r", false))
		second.Quiet()
		second.Close()
	}
	c := test.Dial(t, n).Connect()
	for _, other := range []string{"/topic/plain", "/queue/a", "/topic/**"} {
		require.Empty(t, c.Subscribe(other, other).Get("last-event-id"))
	}
	require.Empty(t, c.Subscribe("durable", "/topic/chat.a", "durable", "true").Get("last-event-id"))
}

// TestAReplayThatItsClientEndsHasItsReceipt: as after an UNSUBSCRIBE, and before what the end says.
func TestAReplayThatItsClientEndsHasItsReceipt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	test.Dial(t, n).Connect().SendKept("/topic/chat.ended", "kept")
	tcp, ws := test.DialTCP, test.Dial
	for _, end := range []struct {
		name, frame, says string
		dial              func(testing.TB, *test.Node) *test.Client
		half              bool
	}{
		{"DISCONNECT over TCP", "DISCONNECT\nreceipt:d\n\n\x00", frames.RECEIPT, tcp, false},
		{"DISCONNECT over WebSocket", "DISCONNECT\nreceipt:d\n\n\x00", frames.RECEIPT, ws, false},
		{"a frame that is wrong", "NONSENSE\n\n\x00", frames.ERROR, ws, false},
		{"the end of what the client has to say", "", "", tcp, true},
		{"an end in a frame", "SEND\n", frames.ERROR, tcp, true},
	} {
		for _, past := range []string{"replay-last:5", "last-event-id:gone-1"} {
			c := end.dial(t, n).Connect()
			c.Raw("SUBSCRIBE\nid:s\ndestination:/topic/chat.ended\nreceipt:s\n" + past + "\n\n\x00" + end.frame)
			if end.half {
				c.HalfClose()
			}
			f, err := c.Next()
			for err == nil && f.Command == frames.MESSAGE { // as far as the replay came
				f, err = c.Next()
			}
			require.NoError(t, err, end.name)
			require.Equal(t, frames.RECEIPT, f.Command, end.name)
			require.Equal(t, "s", f.Get("receipt-id"), end.name)
			if end.says != "" {
				c.Expect(end.says)
			}
			c.Closed()
		}
	}
}

// TestASubscriberGetsWhatItSendsNext pipelines the two frames.
func TestASubscriberGetsWhatItSendsNext(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	for range 20 {
		c := test.Dial(t, n).Connect()
		subscribe := frames.Append(nil, frames.New(frames.SUBSCRIBE, "id", "s", "destination", "/topic/chat.own", "receipt", "r"), frames.V12)
		send := frames.New(frames.SEND, "destination", "/topic/chat.own")
		send.Body = []byte("own")
		c.Raw(string(frames.Append(subscribe, send, frames.V12)))
		expectReceipt(t, c, "r", false)
		c.Message("own")
		c.Close()
	}
}

// TestAQuietRoomTellsALossAtOnce: nothing has to be sent first.
func TestAQuietRoomTellsALossAtOnce(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	sender := test.Dial(t, n).Connect()
	for _, room := range []string{"/topic/chat.quiet", "/topic/plain"} {
		c := test.Dial(t, n).Connect()
		c.Send(frames.SUBSCRIBE, "id", "s", "destination", room, "receipt", "r", "last-event-id", "lost-17")
		expectReceipt(t, c, "r", true)
		sender.Send(frames.SEND, "destination", room, "one")
		require.Equal(t, "incomplete", c.Message("one").Get("replay"), "it is said to those who look at messages alone too")
		c.Close()
	}
	// All of the past is reported as missing, where the first message after the gap is part of it.
	c := test.Dial(t, n).Connect()
	c.Send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/chat.quiet", "receipt", "r", "last-event-id", "lost-17")
	require.Equal(t, "incomplete", c.Message("one").Get("replay"))
	place := expectReceipt(t, c, "r", true)
	c.Send(frames.SUBSCRIBE, "id", "t", "destination", "/topic/chat.quiet", "receipt", "r", "last-event-id", place)
	expectReceipt(t, c, "r", false)
}

// TestAnIDIsOfItsDestination: a position is of a stream, and says nothing of what a client
// has of its other destinations.
func TestAnIDIsOfItsDestination(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	sender := test.Dial(t, n).Connect()
	idOf := func(destination string) string {
		c := test.Dial(t, n).Connect()
		defer c.Close()
		c.Send(frames.SUBSCRIBE, "id", "s", "destination", destination, "replay-last", "1")
		return c.Message("1").Get("message-id")
	}
	const room, other, all = "/topic/chat.room", "/topic/chat.other", "/topic/chat.**"
	sender.SendKept(other, "0")
	sender.SendKept(room, "0")
	sender.SendKept(other, "1")
	ofOther, ofAll := idOf(other), idOf(all)
	sender.SendKept(room, "1")
	ofRoom := idOf(room)
	sender.SendKept(room, "2")
	plain := func(id string) string { return driver.ParseStreamPosition(id).String() }
	nameOf := func(id string) string { _, name := driver.ParsePlace(id); return name }
	for name, c := range map[string]struct {
		destination, id string
		fits            bool
		bodies          []string
	}{
		"its own":                        {room, ofRoom, true, []string{"2"}},
		"a pattern's, for what it has":   {room, ofAll, true, []string{"1", "2"}},
		"a pattern's own":                {all, ofAll, true, []string{"1", "2"}},
		"a pattern's, for a part":        {"/topic/chat.*", ofAll, true, []string{"1", "2"}},
		"another room's":                 {room, ofOther, false, []string{"0", "1", "2"}},
		"a room's, for a pattern":        {all, ofRoom, false, []string{"0", "0", "1", "1", "2"}},
		"one without a name":             {room, plain(ofRoom), true, []string{"2"}},
		"another's without a name":       {room, plain(ofOther), false, []string{"0", "1", "2"}},
		"one without a name, a pattern":  {all, plain(ofRoom), false, []string{"0", "0", "1", "1", "2"}},
		"a durable subscription's":       {room, driver.ParseStreamPosition(ofRoom).In("durable"), false, []string{"0", "1", "2"}},
		"one without an epoch":           {room, driver.StreamPosition{}.In(nameOf(ofRoom)), false, []string{"0", "1", "2"}},
		"one of no epoch and message":    {room, ".-0", false, []string{"0", "1", "2"}},
		"one of a name that is no place": {room, driver.ParseStreamPosition(ofRoom).In("/%zz"), false, []string{"0", "1", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			reader := test.Dial(t, n).Connect()
			reader.Send(frames.SUBSCRIBE, "id", "s", "destination", c.destination, "receipt", "r", "last-event-id", c.id)
			for i, body := range c.bodies {
				f := reader.Message(body)
				require.Equal(t, i == 0 && !c.fits, f.Get("replay") == "incomplete")
			}
			expectReceipt(t, reader, "r", !c.fits)
		})
	}
}

// TestEverySubscribeHasItsReceipt: one that ends while its past is on its way has it too.
func TestEverySubscribeHasItsReceipt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	c := test.Dial(t, n).Connect()
	for range 10 {
		c.Send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/chat.a", "receipt", "began", "replay-last", "10")
		c.Send(frames.UNSUBSCRIBE, "id", "s", "receipt", "ended")
		require.Equal(t, "began", c.Expect(frames.RECEIPT).Get("receipt-id"))
		require.Equal(t, "ended", c.Expect(frames.RECEIPT).Get("receipt-id"))
	}
}

// TestOlderClientsAcknowledgeByTheID: ids that name a destination are known again.
func TestOlderClientsAcknowledgeByTheID(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	sender := test.Dial(t, n).Connect()
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		for _, durable := range []string{"false", "true"} {
			c := test.Dial(t, n).Connect("accept-version", version)
			c.Subscribe("s", "/topic/chat."+version, "ack", "client", "durable", durable)
			sender.SendKept("/topic/chat."+version, "one")
			id := c.Message("one").Get("message-id")
			if version == "1.2" {
				c.Send(frames.ACK, "id", id)
			} else {
				c.Send(frames.ACK, "message-id", id, "subscription", "s")
			}
			c.Quiet()
			require.Zero(t, n.Broker.Stats().Stale)
			c.Send(frames.UNSUBSCRIBE, "id", "s", "durable", durable, "receipt", "ended")
			c.Receipt("ended")
		}
	}
}
