package broker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestShutdownSpreadsTheEndOfSessions: they end over the window, and what they
// held of a queue goes to a consumer on another node.
func TestShutdownSpreadsTheEndOfSessions(t *testing.T) {
	t.Parallel()
	const window, clients = time.Second, 400
	hub := test.Start(t, test.Options{NATSPort: -1})
	n := test.Start(t, test.Options{NATSURL: hub.Relay.ClientURL(), Broker: broker.Options{DrainWindow: window}})
	holder := test.Dial(t, n).Connect()
	holder.Subscribe("q", "/queue/work", "ack", "client-individual")
	holder.Send(frames.SEND, "destination", "/queue/work", "held")
	holder.Message("held")
	other := test.Dial(t, hub).Connect()
	other.Subscribe("q", "/queue/work", "ack", "client-individual")

	ended := make([]time.Time, clients)
	var waiting sync.WaitGroup
	for i := range clients {
		c := test.Dial(t, n).Connect()
		waiting.Go(func() {
			for {
				if _, err := c.Next(); err != nil {
					ended[i] = time.Now()
					return
				}
			}
		})
	}
	begin := time.Now()
	require.NoError(t, n.Broker.Shutdown(context.Background()))
	waiting.Wait()
	early, late := 0, 0
	for _, at := range ended {
		switch since := at.Sub(begin); {
		case since < window/2:
			early++
		default:
			late++
		}
	}
	require.NotZero(t, early, "some go at once")
	require.Greater(t, late, clients/10, "many only later")
	require.Equal(t, "true", other.Message("held").Get("redelivered"))
	_, err := n.Broker.Open(nil)
	require.ErrorContains(t, err, "shutting down")
}
