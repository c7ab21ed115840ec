package broker

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// returnsReader notes the order in which messages go back to the store.
type returnsReader struct {
	driver.QueueReader
	returned []string
}

func (r *returnsReader) Pull(int) {}

func (r *returnsReader) Requeue(d driver.Delivery) { r.returned = append(r.returned, d.Message.ID) }

func (r *returnsReader) Close(held []driver.Delivery) <-chan struct{} {
	for _, d := range held {
		r.Requeue(d)
	}
	return nil
}

// TestWhatComesWhileTheLastConsumerLeavesGoesBackInItsOrder, behind what that one held.
func TestWhatComesWhileTheLastConsumerLeavesGoesBackInItsOrder(t *testing.T) {
	t.Parallel()
	b := &Broker{clock: newClock(), memory: newMemory(&Quotas{})}
	b.current.Store(&settings{queues: QueueDefaults{QueuePolicy: QueuePolicy{MaxDeliveries: 5}}})
	reader := &returnsReader{}
	q := &queue{broker: b, source: &storedQueue{name: "/queue/a", broker: b}}
	from := &feed{reader: reader, maxPull: maxPull}
	q.closers = q.feedFrom(from)
	sub := &subscription{session: &Session{broker: b}}
	sub.consumer = &consumer{queue: q, prefetch: 4}
	q.subs = []*subscription{sub}
	lend := func(seq int) driver.Delivery {
		return driver.Delivery{Message: &driver.Message{ID: "m" + strconv.Itoa(seq)}, Seq: uint64(seq), Count: 1}
	}
	var held []*delivery
	for seq := range 3 {
		held = append(held, &delivery{Delivery: lend(seq), reader: reader})
	}

	q.stop(sub.consumer)
	q.received(from, lend(3))
	require.Empty(t, reader.returned, "those before it are not back yet")
	q.close(held)
	require.Equal(t, []string{"m0", "m1", "m2", "m3"}, reader.returned)
	require.Equal(t, map[string]int{"m3": 1}, b.queues.idle.take("/queue/a"), "no client had it")

	q.received(from, lend(4)) // was on its way
	require.Equal(t, "m4", reader.returned[4])
	require.Equal(t, map[string]int{"m4": 1}, b.queues.idle.take("/queue/a"), "the queue may be forgotten")
}
