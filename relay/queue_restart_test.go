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
// its session ended long before the server did, or the server was killed.
func TestWhatWasHeldComesFirstAfterARestart(t *testing.T) {
	t.Parallel()
	const topic = "/topic/held"
	pattern, err := destination.ParsePattern(topic)
	require.NoError(t, err)
	for _, kind := range []string{"queue", "durable subscription"} {
		for _, end := range []string{"at the stop", "before it", "never"} {
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
				if end != "never" {
					returned := q.Close([]driver.Delivery{held[3], held[0], held[2]})
					if end == "before it" {
						<-returned
					}
				}
				r.Close()
				if end == "never" {
					died(t, dir)
				}

				r = start()
				send(r, "young")
				q, got = open(r)
				t.Cleanup(func() { q.Close(nil) })
				for _, i := range []int{0, 2, 3} {
					d := next(t, q, got, fmt.Sprint("old ", i))
					require.True(t, d.Count == 2 || d.Redelivered)
					ack(t, q, d)
				}
				for _, body := range []string{"young", "younger"} { // nothing waits any more
					d := next(t, q, got, body)
					require.True(t, d.Count == 1 && !d.Redelivered)
					send(r, "younger")
				}
			})
		}
	}
}
