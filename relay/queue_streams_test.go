package relay

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestWhatIsThereIsNotMadeAgain: a node that stores for the first time asks nothing of the
// leader of all streams where the stream is as it should be, and sets what is not.
func TestWhatIsThereIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	watcher, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	t.Cleanup(watcher.Close)
	var made []*nats.Subscription
	for _, subject := range []string{"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>"} {
		sub, err := watcher.SubscribeSync(subject)
		require.NoError(t, err)
		made = append(made, sub)
	}
	require.NoError(t, watcher.Flush())
	writes := func() (n int) {
		require.NoError(t, watcher.Flush())
		for _, sub := range made {
			for {
				if _, err := sub.NextMsg(time.Millisecond); err != nil {
					break
				}
				n++
			}
		}
		return n
	}
	store := func(r *Relay, limit int64) {
		t.Helper()
		stored := make(chan error, 1)
		m := &driver.Message{Destination: "/queue/a", Key: "/queue/a", Body: []byte("x")}
		r.queues.Store(m, driver.StoreOptions{Queue: driver.QueueOptions{MaxMessages: limit}, DedupID: "id"}, func(err error) { stored <- err })
		require.NoError(t, <-stored)
	}
	another := func(settings QueueSettings) *Relay {
		t.Helper()
		r, err := Dial(Options{URL: d.ClientURL(), Queues: settings})
		require.NoError(t, err)
		t.Cleanup(r.Close)
		return r
	}
	for _, limit := range []int64{0, 10} {
		store(d.Relay, limit)
		require.NotZero(t, writes())
		store(another(QueueSettings{}), limit)
		require.Zero(t, writes(), "limit %d", limit)
	}
	store(another(QueueSettings{}), 20)
	require.NotZero(t, writes(), "another limit")
	store(another(QueueSettings{DedupWindow: time.Minute}), 0)
	require.NotZero(t, writes(), "another window")
}
