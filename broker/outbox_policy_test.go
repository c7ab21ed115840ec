package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
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

// TestWhatAPolicyDropsIsTold has subscribers read nothing for a time. The first message after
// one that was dropped says so, or a later one that was sent after it.
func TestWhatAPolicyDropsIsTold(t *testing.T) {
	t.Parallel()
	history, err := destination.ParsePattern("/topic/kept")
	require.NoError(t, err)
	n := test.Start(t, test.Options{
		Broker:    broker.Options{Outbox: broker.OutboxOptions{MaxBytes: 1 << 20, Policy: broker.PolicyDropOldest}},
		Histories: []driver.HistoryPolicy{{Name: "kept", Match: history}},
	})
	sender := test.Dial(t, n).Connect()
	body := strings.Repeat("x", 64<<10)
	for _, dest := range []string{"/topic/kept", "/topic/plain"} {
		stalled := test.Dial(t, n).Connect()
		stalled.Subscribe("s", dest)
		const count = 300
		for i := range count {
			sender.Send(frames.SEND, "destination", dest, "n", strconv.Itoa(i), "receipt", fmt.Sprint(dest, i), body)
			sender.Receipt(fmt.Sprint(dest, i))
		}
		gaps, untold := 0, false
		for last := -1; last < count-1; {
			m := stalled.Message(body)
			i, err := strconv.Atoi(m.Get("n"))
			require.NoError(t, err)
			if i != last+1 {
				gaps, untold = gaps+1, true
			}
			if m.Get("replay") == "incomplete" {
				untold = false
			}
			last = i
		}
		require.Positive(t, gaps, dest)
		require.False(t, untold, dest)
	}
}
