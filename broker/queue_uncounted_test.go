package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestDeliveriesThatReachedNoClientDoNotCount: the store delivers a message again and
// again that a client has, since nothing that is said about it reaches the store.
func TestDeliveriesThatReachedNoClientDoNotCount(t *testing.T) {
	t.Parallel()
	const limit = 2
	b := &Broker{clock: new(clock)}
	b.current.Store(&settings{queues: QueueDefaults{QueuePolicy: QueuePolicy{MaxDeliveries: limit}}})
	q := &queue{source: &storedQueue{name: "/queue/a", broker: b}}
	m := &driver.Message{ID: "m"}
	lend := func(count int) *delivery {
		d := newDelivery(m, count)
		return d
	}
	s := &Session{}
	sub := &subscription{session: s, consumer: &consumer{queue: q}}
	s.broker = b
	require.Zero(t, sub.unacked.addDelivery(1, lend(1)))
	for count := 2; count < 10; count++ {
		d := lend(count)
		require.False(t, q.overDelivered(d), "%d", count)
		require.Equal(t, pushSkipped, s.pushDelivery(sub, d))
		require.False(t, q.exhausted(d), "the client has had it once")
	}
	require.True(t, q.exhausted(lend(10)), "and then a second time")
	require.False(t, q.exhausted(&delivery{Delivery: driver.Delivery{Message: &driver.Message{ID: "other"}, Count: 1}}))
	require.True(t, q.exhausted(&delivery{Delivery: driver.Delivery{Message: &driver.Message{ID: "other"}, Count: limit}}))
}
