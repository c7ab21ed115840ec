package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestASlowConsumerIsCutOffAndNoOtherNotices has one subscriber that never reads.
func TestASlowConsumerIsCutOffAndNoOtherNotices(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Outbox: broker.OutboxOptions{MaxBytes: 1 << 20}}})
	stalled, reader, sender := test.Dial(t, n).Connect(), test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	stalled.Subscribe("s", "/topic/a")
	reader.Subscribe("s", "/topic/a")
	body := strings.Repeat("x", 64<<10)
	for i := range 400 {
		sender.Send(frames.SEND, "destination", "/topic/a", "n", fmt.Sprint(i), body)
		require.Equal(t, fmt.Sprint(i), reader.Message(body).Get("n"))
	}
	require.EqualValues(t, 1, n.Broker.Stats().Errors[broker.CodeSlowConsumer])
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 2 }, time.Minute, 10*time.Millisecond)
}
