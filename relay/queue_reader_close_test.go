package relay_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/relay"
)

// TestANodeThatStopsGivesAllBack: it closes the readers of its sessions, and at once the
// relay. What they had goes to other nodes then, not after the ack wait.
func TestANodeThatStopsGivesAllBack(t *testing.T) {
	t.Parallel()
	const count = 5
	queues := relay.QueueSettings{AckWait: 10 * time.Minute}
	a, err := relay.Embed(relay.EmbeddedOptions{DataDir: t.TempDir(), Port: -1}, relay.Options{Queues: queues})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	b, err := relay.Dial(relay.Options{URL: a.ClientURL(), Queues: queues})
	require.NoError(t, err)
	for i := range count {
		store(t, a, "/queue/held", driver.StoreOptions{}, fmt.Sprint("m", i))
	}
	stopping, got := openQueue(t, b, "/queue/held")
	var held []driver.Delivery
	for i := range count {
		held = append(held, next(t, stopping, got, fmt.Sprint("m", i)))
	}
	stopping.Close(held)
	b.Close()

	other, got := openQueue(t, a, "/queue/held")
	t.Cleanup(func() { other.Close(nil) })
	for i := range count {
		d := next(t, other, got, fmt.Sprint("m", i))
		require.Equal(t, 2, d.Count)
		ack(t, other, d)
	}
}

// consumed is a queue that is consumed as the broker does: what comes once it is closed
// goes back at once.
type consumed struct {
	driver.QueueReader
	got    chan driver.Delivery
	closed atomic.Bool
}

func consume(t *testing.T, r *relay.Relay, queue string) *consumed {
	t.Helper()
	c := &consumed{got: make(chan driver.Delivery, 10)}
	opened := make(chan struct{})
	reader, err := r.Driver().Queues.OpenQueue(t.Context(), queue, driver.QueueOptions{}, func(d driver.Delivery) {
		if <-opened; c.closed.Load() {
			c.Requeue(d)
			return
		}
		c.got <- d
	})
	require.NoError(t, err)
	c.QueueReader = reader
	close(opened)
	return c
}

func (c *consumed) close(held ...driver.Delivery) {
	c.closed.Store(true)
	c.Close(held)
}

// TestWhatWasPutBackKeepsItsPlace, though only some of it came again before that was put back
// once more, or what a reader held is older than what waits.
func TestWhatWasPutBackKeepsItsPlace(t *testing.T) {
	t.Parallel()
	const count = 6
	r := embed(t, t.TempDir())
	for i := range count {
		store(t, r, "/queue/held", driver.StoreOptions{}, fmt.Sprint("m", i))
	}
	q := consume(t, r, "/queue/held")
	var held []driver.Delivery
	for i := range count {
		held = append(held, next(t, q, q.got, fmt.Sprint("m", i)))
	}
	q.Requeue(held[3])
	q.Requeue(held[1])
	q.Requeue(next(t, q, q.got, "m3"))
	q.close(held[0], held[2], held[4], held[5])

	for range 2 { // it holds one, and the others wait
		q = consume(t, r, "/queue/held")
		q.close(next(t, q, q.got, "m0"))
	}
	q = consume(t, r, "/queue/held")
	t.Cleanup(func() { q.Close(nil) })
	for i := range count {
		ack(t, q, next(t, q, q.got, fmt.Sprint("m", i)))
	}
}
