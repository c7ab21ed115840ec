package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/relay"
)

// TestWhatWasHeldComesFirstAfterARestart, marked, and not after the ack wait; also where
// its session ended long before the server did.
func TestWhatWasHeldComesFirstAfterARestart(t *testing.T) {
	t.Parallel()
	const topic = "/topic/held"
	pattern, err := destination.ParsePattern(topic)
	require.NoError(t, err)
	for _, kind := range []string{"queue", "durable subscription"} {
		for _, end := range []string{"at the stop", "before it"} {
			t.Run(kind+", given back "+end, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				start := func() *relay.Relay {
					r, err := relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{
						Queues:    relay.QueueSettings{AckWait: 10 * time.Minute},
						Histories: relay.HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: pattern}}},
					})
					require.NoError(t, err)
					t.Cleanup(r.Close)
					return r
				}
				open := func(r *relay.Relay) (driver.QueueReader, <-chan driver.Delivery) {
					if kind == "queue" {
						return openQueue(t, r, "/queue/held")
					}
					got := make(chan driver.Delivery, 10)
					q, err := r.Driver().Histories.OpenDurable(t.Context(), driver.DurableSubscription{History: "all", Name: "d", Pattern: pattern}, func(d driver.Delivery) { got <- d })
					require.NoError(t, err)
					return q, got
				}
				send := func(r *relay.Relay, body string) {
					if kind == "queue" {
						store(t, r, "/queue/held", driver.StoreOptions{}, body)
					} else {
						store(t, r, topic, driver.StoreOptions{History: "all"}, body)
					}
				}

				r := start()
				q, got := open(r)
				var held []driver.Delivery
				for i := range 4 {
					send(r, fmt.Sprint("old ", i))
					held = append(held, next(t, q, got, fmt.Sprint("old ", i)))
				}
				ack(t, q, held[1])
				returned := q.Close([]driver.Delivery{held[3], held[0], held[2]})
				if end == "before it" {
					<-returned
				}
				r.Close()

				r = start()
				send(r, "young")
				q, got = open(r)
				t.Cleanup(func() { q.Close(nil) })
				for _, i := range []int{0, 2, 3} {
					d := next(t, q, got, fmt.Sprint("old ", i))
					require.Equal(t, 2, d.Count)
					ack(t, q, d)
				}
				require.Equal(t, 1, next(t, q, got, "young").Count)
				send(r, "younger") // nothing waits any more
				require.Equal(t, 1, next(t, q, got, "younger").Count)
			})
		}
	}
}
