package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

// TestReceiptsThatWaitAreBounded: those of frames that were carried out wait for the ones
// before them, which the store may keep for long.
func TestReceiptsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	b := newTestBroker(t)
	changed := *b.settings()
	changed.queues.MaxUnconfirmed = 4
	b.current.Store(&changed)
	s, err := b.Open(newGate(true))
	require.NoError(t, err)
	defer s.Detach(nil)
	s.setUser("ann", new(userUsage))
	first := s.receipts.reserve("first", 10, false)
	confirmed := make(chan int)
	go func() {
		for i := range 10 {
			s.confirm(&frames.Frame{Headers: frames.Headers{{Name: frames.Receipt, Value: "later"}}})
			confirmed <- i
		}
		close(confirmed)
	}()
	for i := range 3 {
		require.Equal(t, i, <-confirmed)
	}
	q := &s.receipts
	require.Eventually(t, func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.notFull != nil }, 5*time.Second, time.Millisecond, "the reader waits")
	q.mu.Lock()
	require.Len(t, q.pending, 4)
	require.Equal(t, 4*receiptOverhead+3*len("later")+len("first")+10, q.bytes)
	q.mu.Unlock()
	first.complete(nil)
	for i := 3; i < 10; i++ {
		require.Equal(t, i, <-confirmed)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	require.Empty(t, q.pending)
	require.Zero(t, q.bytes)
	require.Zero(t, q.account.used)
}
