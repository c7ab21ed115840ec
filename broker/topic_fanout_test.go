package broker_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestAThousandSubscribersLoseNothing: one publisher, every subscriber gets
// everything in order.
func TestAThousandSubscribersLoseNothing(t *testing.T) {
	t.Parallel()
	const subscribers, messages = 1000, 100
	n := test.Start(t, test.Options{})
	var wait sync.WaitGroup
	for i := range subscribers {
		c := test.Dial(t, n).Connect()
		c.Subscribe(fmt.Sprintf("sub-%d", i%3), "/topic/all")
		wait.Go(func() {
			for k := range messages {
				f, err := c.Next()
				if err != nil || f.Get("n") != fmt.Sprint(k) {
					t.Errorf("subscriber %d: message %d: got %v, %v", i, k, f.Headers, err)
					return
				}
			}
		})
	}
	sender := test.Dial(t, n).Connect()
	for k := range messages {
		sender.Send(frames.SEND, "destination", "/topic/all", "n", fmt.Sprint(k), "hello")
	}
	sender.Quiet()
	wait.Wait()
	require.EqualValues(t, subscribers*messages, n.Broker.Stats().Delivered)
	require.Zero(t, n.Broker.Stats().Dropped)
}
