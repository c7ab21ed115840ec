package broker_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestMessagesThatExpireInAgesAreKept: JetStream counts in nanoseconds, which end in 2262.
func TestMessagesThatExpireInAgesAreKept(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	c := test.Dial(t, n).Connect()
	times := []string{"9223372036854", "9223372036855", "9999999999999", "253402300799000", "9223372036854775807"}
	for _, at := range times {
		for _, dest := range []string{"/queue/ages", "/topic/chat.ages"} {
			c.Send(frames.SEND, "destination", dest, "expires", at, "receipt", at+dest, at)
			c.Receipt(at + dest)
		}
		c.Send(frames.BEGIN, "transaction", at)
		c.Send(frames.SEND, "destination", "/queue/together", "expires", at, "transaction", at, at)
		c.Send(frames.SEND, "destination", "/queue/together", "expires", at, "transaction", at, at)
		c.Send(frames.COMMIT, "transaction", at, "receipt", "commit"+at)
		c.Receipt("commit" + at)
	}
	c.Subscribe("q", "/queue/ages")
	for _, at := range times {
		require.Equal(t, at, c.Message(at).Get("expires"))
	}
	c.Subscribe("t", "/topic/chat.ages", "replay-last", "10")
	for _, at := range times {
		c.Message(at)
	}
	c.Subscribe("b", "/queue/together")
	for _, at := range times {
		c.Message(at)
		c.Message(at)
	}
	c.Send(frames.SEND, "destination", "/queue/ages", "expires", "9223372036854775808", "x")
	c.Error("is not a time in milliseconds")
}

// TestOptionsDoNotWrapAround: an embedding program may take the greatest number for none.
func TestOptionsDoNotWrapAround(t *testing.T) {
	t.Parallel()
	const most = time.Duration(math.MaxInt64)
	n := test.Start(t, test.Options{Broker: broker.Options{
		HeartBeat: broker.HeartBeat{Send: most, Receive: most, Grace: 1000}, DrainWindow: 0, AppTimeout: most,
		Limits: broker.Limits{
			Frame:          frames.Limits{MaxHeaders: math.MaxInt, MaxHeaderLine: math.MaxInt, MaxBody: math.MaxInt},
			ConnectTimeout: most, IdleTimeout: most, FrameTimeout: most, WriteTimeout: most,
		},
		Quotas: broker.Quotas{AddressConnections: math.MaxInt, AddressConnectRate: math.MaxInt, UserConnections: math.MaxInt, UserSubscriptions: math.MaxInt, UserMessageRate: math.MaxInt, UserByteRate: math.MaxInt, UserSubscribeRate: math.MaxInt, UserRequestRate: math.MaxInt, AddressRequestRate: math.MaxInt, UserDurables: math.MaxInt},
	}})
	c := test.Dial(t, n).Connect("heart-beat", "2147483647,2147483647")
	require.Equal(t, "86400000,86400000", c.Connected.Get("heart-beat"))
	waiting := test.DialTCP(t, n)
	silent := test.Dial(t, n).Connect("heart-beat", "0,0")
	// The sweeper has looked at all of them once a token ended.
	test.DialTCP(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Second, auth.Grants{})).Error("token has expired")
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "x")
	c.Message("x")
	silent.Quiet()
	waiting.Connect()

	for _, grace := range []float64{0.5, -1, 1001, math.NaN(), math.Inf(1)} {
		_, err := broker.New(broker.Options{Authenticator: test.Authenticator(t), Driver: n.Relay.Driver(), HeartBeat: broker.HeartBeat{Grace: grace}})
		require.ErrorContains(t, err, "Grace", "%v", grace)
	}
}
