package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestQuotasAreToldInAnERROR, on WebSockets and TCP alike, and free what they count.
func TestQuotasAreToldInAnERROR(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{AddressConnections: 3, UserConnections: 2, UserSubscriptions: 2}}})
	as := func(c *test.Client, user string) *test.Client {
		return c.Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.AllGrants()))
	}
	first, second := as(test.Dial(t, n), "ann"), as(test.DialTCP(t, n), "ann")
	third := test.Dial(t, n)
	third.Send(frames.CONNECT, "accept-version", "1.2", "Authorization", "Bearer "+test.Token(t, "ann", time.Hour, auth.AllGrants()))
	e := third.Expect(frames.ERROR)
	require.Contains(t, e.Get("message"), "limit of 2 connections")
	require.Equal(t, "5", e.Get("retry-after"))
	third.Close()

	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 2 }, test.Patience, time.Millisecond)
	other := as(test.Dial(t, n), "bob")
	for _, dial := range []func(testing.TB, *test.Node) *test.Client{test.Dial, test.DialTCP} {
		e := dial(t, n).Expect(frames.ERROR)
		require.Contains(t, e.Get("message"), "your address has its limit of 3 connections")
		require.Equal(t, "5", e.Get("retry-after"))
	}

	first.Subscribe("a", "/topic/a")
	second.Subscribe("a", "/topic/a")
	second.Send(frames.UNSUBSCRIBE, "id", "a", "receipt", "u")
	second.Receipt("u")
	second.Subscribe("b", "/topic/b")
	second.Send(frames.SUBSCRIBE, "id", "c", "destination", "/topic/c")
	require.Contains(t, second.Expect(frames.ERROR).Get("message"), "limit of 2 subscriptions")
	second.Close()
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 2 }, test.Patience, time.Millisecond)
	first.Subscribe("b", "/topic/b") // what the ended session had is free
	other.Subscribe("a", "/topic/a")
	limited := n.Broker.Stats().Limited
	require.EqualValues(t, map[string]int64{"address_connections": 2, "user_connections": 1, "user_subscriptions": 1}, limited)
	require.NotContains(t, strings.ToLower(n.Log.String()), "panic")
}
