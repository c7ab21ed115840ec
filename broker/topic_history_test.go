package broker_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/test"
)

func TestHistoryReplaysWhatWasMissed(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	other := test.Start(t, test.Options{NATSURL: n.Relay.ClientURL(), Histories: test.Histories(t)})
	sender, reader := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	reader.Subscribe("s", "/topic/chat.room")
	var ids []string
	for i := range 10 {
		sender.SendKept("/topic/chat.room", strconv.Itoa(i))
		f := reader.Message(strconv.Itoa(i))
		ids = append(ids, f.Get("message-id"))
		require.Empty(t, f.Get("replay"))
	}
	epoch := driver.ParseStreamPosition(ids[0]).Epoch
	for i, id := range ids {
		require.Equal(t, driver.StreamPosition{Epoch: epoch, Seq: uint64(i + 1)}, driver.ParseStreamPosition(id), "the stream's sequence is the id")
	}
	for _, node := range []*test.Node{n, other} {
		c := test.Dial(t, node).Connect()
		c.Subscribe("s", "/topic/chat.room", "last-event-id", ids[3])
		for i := 4; i < 10; i++ {
			f := c.Message(strconv.Itoa(i))
			require.Equal(t, ids[i], f.Get("message-id"))
			require.Equal(t, "guest", f.Get("user"))
			require.Empty(t, f.Get("replay"))
		}
		c.Subscribe("last", "/topic/chat.**", "replay-last", "2")
		require.Equal(t, "last", c.Message("8").Get("subscription"))
		c.Message("9")
		c.Subscribe("none", "/topic/chat.empty", "replay-last", "2")
		c.Quiet()
		c.Close()
	}
	reader.Quiet()
}

func TestHistoryOfUserDestinations(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	as := func(user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
	}
	bob := as("bob")
	bob.SendKept("/user/alice/queue/notes", "missed")
	bob.SendKept("/user/carol/queue/notes", "not yours")
	alice := as("alice")
	alice.Subscribe("s", "/user/queue/notes", "replay-last", "10")
	require.Equal(t, "/user/queue/notes", alice.Message("missed").Get("destination"))
	bob.SendKept("/user/alice/queue/notes", "live")
	alice.Message("live")
	alice.Quiet()
}

func TestNativeProgramsPublishToHistories(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	c, sender := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/chat.native")
	sender.SendKept("/topic/chat.native", "stomp")
	c.Message("stomp")
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.Publish(context.Background(), "stompbox.history.chat.topic.chat.native", []byte("bare"))
	require.NoError(t, err)
	live := c.Message("bare")
	require.Equal(t, "/topic/chat.native", live.Get("destination"))
	require.Equal(t, uint64(2), driver.ParseStreamPosition(live.Get("message-id")).Seq)
	c.Subscribe("again", "/topic/chat.native", "replay-last", "1")
	past := c.Message("bare")
	require.Equal(t, live.Get("message-id"), past.Get("message-id"))
	require.Equal(t, "/topic/chat.native", past.Get("destination"))
	require.NotEmpty(t, past.Get("timestamp"))
}
