package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

func TestUnackedForgetsBeyondItsLimit(t *testing.T) {
	t.Parallel()
	var u unacked
	u.add(1, "a", 3)
	u.add(2, "b", 3)
	u.add(3, "c", 3)
	u.add(4, "d", 3)
	took := func(number uint64) bool { _, ok := u.take(number); return ok }
	require.False(t, took(1), "the oldest is forgotten")
	u.takeUpTo(3)
	require.False(t, took(2), "acknowledged with the one after it")
	require.True(t, took(4))
	require.False(t, took(4))
	for number := range uint64(1000) {
		u.add(number+5, "id", 3)
		took(number + 5)
	}
	require.LessOrEqual(t, len(u.order), 20, "what was acknowledged is not kept")
	require.Empty(t, u.open)
	require.Empty(t, u.latest)
}

func TestUnackedTellsDeliveriesApart(t *testing.T) {
	t.Parallel()
	var u unacked
	lend := func(id string, count int) *delivery { return newDelivery(&driver.Message{ID: id}, count) }
	first, other := lend("m", 1), lend("n", 1)
	require.Zero(t, u.addDelivery(1, first))
	require.Zero(t, u.addDelivery(2, other))
	_, ok := u.take(1)
	require.True(t, ok)
	second := lend("m", 2)
	require.Zero(t, u.addDelivery(3, second), "it was given back before")
	require.Equal(t, []*delivery{other}, u.takeUpTo(2), "what came again comes after")
	require.Equal(t, uint64(3), u.latest["m"])

	third := lend("m", 3)
	require.Equal(t, 1, u.addDelivery(4, third), "the store gave up on one that is held")
	require.Equal(t, uint64(3), third.number)
	require.Zero(t, u.addDelivery(5, lend("m", 3)), "another message with the same id")
	require.Len(t, u.takeAll(), 2)
	require.Empty(t, u.latest)
}
