package broker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestDurableSubscriptionGetsWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: test.Histories(t)})
	sender := test.Dial(t, a).Connect()
	sender.SendKept("/topic/chat.d", "before")
	durable := []string{"durable", "true", "auto-delete", "false", "ack", "client-individual"}
	c := test.Dial(t, a).Connect()
	c.Subscribe("d", "/topic/chat.*", durable...)
	sender.SendKept("/topic/chat.d", "1")
	sender.SendKept("/topic/chat/d", "of another pattern")
	sender.SendKept("/topic/chat.d", "2")
	c.Send(frames.ACK, "id", c.Message("1").Get("ack"), "receipt", "acked")
	c.Message("2")
	c.Receipt("acked")
	c.Close()
	require.Eventually(t, func() bool { return a.Broker.Stats().Sessions == 1 }, test.Patience, 10*time.Millisecond)
	sender.SendKept("/topic/chat.d", "3")

	again := test.Dial(t, b).Connect()
	again.Subscribe("d", "/topic/chat.*", durable...)
	seen := make(map[string]*frames.Frame)
	for range 2 {
		f := again.Expect(frames.MESSAGE)
		seen[string(f.Body)] = f
		again.Send(frames.ACK, "id", f.Get("ack"))
	}
	require.Equal(t, "true", seen["2"].Get("redelivered"))
	require.Empty(t, seen["3"].Get("redelivered"))
	again.Send(frames.UNSUBSCRIBE, "id", "d", "durable", "true", "auto-delete", "false", "receipt", "gone")
	again.Receipt("gone")
	sender.SendKept("/topic/chat.d", "4")
	again.Subscribe("d", "/topic/chat.*", durable...)
	sender.SendKept("/topic/chat.d", "5")
	again.Message("5")
	again.Quiet()

	// Another user's of the same id is another one.
	eve := test.Dial(t, a).Connect("Authorization", "Bearer "+test.Token(t, "eve", time.Hour, auth.Grants{}))
	eve.Subscribe("d", "/topic/chat.*", durable...)
	sender.SendKept("/topic/chat.d", "6")
	eve.Message("6")
	again.Message("6")
}
