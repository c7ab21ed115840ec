package broker_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestQueueMovesToDeadLettersAfterTooManyDeliveries(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: 3}}}})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/poison", "colour", "green", "dead-letter-origin", "/queue/forged", "x")
	c.Subscribe("q", "/queue/poison", "ack", "client-individual")
	for i := range 3 {
		f := c.Message("x")
		require.Equal(t, strconv.Itoa(i+1), f.Get("delivery-count"))
		require.Empty(t, f.Get("dead-letter-origin"), "never taken from a client")
		c.Send(frames.NACK, "id", f.Get("ack"))
	}
	c.Quiet()
	c.Subscribe("d", "/queue/DLQ.poison", "ack", "client-individual")
	for range 7 { // dead letters are not buried again
		f := c.Message("x")
		require.Equal(t, "/queue/DLQ.poison", f.Get("destination"))
		require.Equal(t, "/queue/poison", f.Get("dead-letter-origin"))
		require.Equal(t, "max-deliveries", f.Get("dead-letter-reason"))
		require.Equal(t, "3", f.Get("dead-letter-count"))
		require.Equal(t, "green", f.Get("colour"))
		c.Send(frames.NACK, "id", f.Get("ack"))
	}
	require.Equal(t, int64(1), n.Broker.Stats().Dead)
	require.Contains(t, n.Log.String(), "moved to the dead letters")
}
