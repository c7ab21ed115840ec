package relay_test

import (
	"fmt"
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
