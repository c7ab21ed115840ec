package broker_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
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

// TestPatternsAreBounded: on all kinds of destinations that have patterns. Names are not.
func TestPatternsAreBounded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	many := strings.Repeat(".a", 31)
	refused := func(says string, headers ...string) {
		c := test.Dial(t, n).Connect()
		c.Send(frames.SUBSCRIBE, append([]string{"id", "s"}, headers...)...)
		e := c.Error(says)
		require.Contains(t, string(e.Body), "raise limits.pattern_")
	}
	for _, kind := range []string{"/topic/a", "/user/a", "/app/a"} {
		refused("a pattern may have 32 words, and this one has 34", "destination", kind+many+".*")
		refused("a pattern may have 32 words, and this one has 34", "destination", kind+many+".**")
		refused("a pattern may have 8 wildcards, and this one has 9", "destination", kind+strings.Repeat(".*", 8)+".>")
	}
	require.EqualValues(t, 9, n.Broker.Stats().Errors[broker.CodeDestination])
	c := test.Dial(t, n).Connect()
	c.Subscribe("name", "/topic/a"+many+many)
	c.Subscribe("words", "/topic/a"+many[:2*29]+".*")
	c.Subscribe("wildcards", "/topic/a"+strings.Repeat(".*", 7)+".**")
	c.Send(frames.SEND, "destination", "/topic/a"+many[:2*30], "both")
	require.ElementsMatch(t, []string{"words", "wildcards"}, []string{c.Message("both").Get("subscription"), c.Message("both").Get("subscription")})

	open := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxPatternWords: -1, MaxWildcards: -1}}})
	free := test.Dial(t, open).Connect("Authorization", "Bearer "+test.Token(t, "ann", test.Patience, auth.AllGrants()))
	free.Subscribe("s", "/topic/a"+many+strings.Repeat(".*", 9))
}
