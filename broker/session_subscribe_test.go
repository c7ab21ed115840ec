package broker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestReceiptsUnsubscribeAndNoEcho(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "no-echo", "true", "mine")
	c.Quiet()
	c.Send(frames.SEND, "destination", "/topic/a", "echo")
	c.Message("echo")
	c.Send(frames.UNSUBSCRIBE, "id", "s", "receipt", "u")
	c.Receipt("u")
	c.Send(frames.SEND, "destination", "/topic/a", "late")
	c.Quiet()
	require.Zero(t, n.Broker.Stats().Subscriptions)
	c.Send(frames.DISCONNECT, "receipt", "bye")
	c.Receipt("bye")
	c.Closed()
	require.Equal(t, 1000, c.CloseCode)
}

func TestSTOMP10SubscribesByDestination(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect("accept-version", "1.0")
	c.Send(frames.SUBSCRIBE, "destination", "/topic/a", "receipt", "s")
	c.Receipt("s")
	c.Send(frames.SEND, "destination", "/topic/a", "hi")
	_, has := c.Message("hi").Headers.Lookup("subscription")
	require.False(t, has)
	c.Send(frames.UNSUBSCRIBE, "destination", "/topic/a", "receipt", "u")
	c.Receipt("u")
	require.Zero(t, n.Broker.Stats().Stale)
	c.Send(frames.UNSUBSCRIBE, "destination", "/topic/a", "receipt", "again")
	c.Receipt("again")
	require.EqualValues(t, 1, n.Broker.Stats().Stale)
}
