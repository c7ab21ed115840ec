package broker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAddressesOfIPv6CountByTheirNetwork(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:5":               "192.0.2.1/32",
		"192.0.2.1":                 "192.0.2.1/32",
		"[::ffff:192.0.2.1]:5":      "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:99": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:99":         "fe80::/64",
	} {
		require.Equal(t, netip.MustParsePrefix(want), addressOf(remote), remote)
	}
	require.False(t, addressOf("pipe").IsValid())
}

func TestUsageIsBoundedAndForgotten(t *testing.T) {
	t.Parallel()
	c := newClock()
	u := newUsage(Quotas{AddressConnections: 2, AddressConnectRate: 1, UserConnections: 1, UserSubscriptions: 1, UserMessageRate: 2, UserByteRate: 100}, c)
	a, b := addressOf("192.0.2.1:5"), addressOf("192.0.2.2:5")
	require.Nil(t, u.open(a))
	require.Nil(t, u.open(a))
	err := u.open(a)
	require.NotNil(t, err)
	require.Equal(t, CodeTooManySessions, err.Code)
	require.Nil(t, u.open(b), "each address has its own")
	for range 8 {
		u.close(a)
		require.Nil(t, u.open(a))
	}
	u.close(a)
	err = u.open(a)
	require.NotNil(t, err, "ten connections of a burst were opened")
	require.Equal(t, CodeConnectRate, err.Code)
	require.Positive(t, err.retryAfter)

	ann, err := u.join("ann")
	require.Nil(t, err)
	_, err = u.join("ann")
	require.NotNil(t, err)
	require.Nil(t, u.subscribe(ann))
	require.Equal(t, CodeTooManySubs, u.subscribe(ann).Code)
	u.unsubscribe(ann, 1)
	require.Nil(t, u.subscribe(ann))
	require.Nil(t, u.send(ann, 10))
	require.Nil(t, u.send(ann, 1000), "a message that is larger than the rate takes all of it")
	require.Equal(t, CodeMessageRate, u.send(ann, 1).Code)
	u.leave("ann", ann)
	require.Empty(t, u.users)
	require.Equal(t, map[string]int64{
		limitAddressConnections: 1, limitAddressConnectRate: 1, limitUserConnections: 1, limitUserSubscriptions: 1, limitUserMessageRate: 1,
	}, u.counts())

	u.close(a)
	u.close(b)
	u.mu.Lock()
	u.forgetIdleLocked(c.now() + int64(time.Hour))
	u.mu.Unlock()
	require.Empty(t, u.addresses)
}

// TestSubscriptionsHaveARate: a user who is too fast waits, and is refused where that would be
// long. All connections of the user count together.
func TestSubscriptionsHaveARate(t *testing.T) {
	t.Parallel()
	u := newUsage(Quotas{UserSubscribeRate: 2}, newClock())
	user := new(userUsage)
	for range 2 * subscribeBurst {
		wait, err := u.waitToSubscribe(user, 5*time.Second)
		require.Nil(t, err)
		require.Zero(t, wait)
	}
	waited := 0
	var refused *Error
	for refused == nil {
		var wait time.Duration
		if wait, refused = u.waitToSubscribe(user, time.Hour); refused == nil {
			waited++
			require.Greater(t, wait, time.Duration(0))
			require.LessOrEqual(t, wait, time.Hour)
		}
	}
	require.InDelta(t, 2*3600, waited, 200)
	require.Equal(t, CodeMessageRate, refused.Code)
	require.Contains(t, refused.Message, "limits.user_subscribe_rate")
	require.Equal(t, retryAfter, refused.retryAfter)
	require.EqualValues(t, 1, u.counts()[limitUserSubscribeRate])
	wait, err := u.waitToSubscribe(new(userUsage), 0)
	require.Nil(t, err, "another user does not wait")
	require.Zero(t, wait)
}
