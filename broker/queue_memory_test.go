package broker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// slowMemory is a store that says what it has once it is allowed to.
type slowMemory struct {
	asked  int
	answer chan int64
}

func (m *slowMemory) MemoryBytes(context.Context) (int64, error) {
	m.asked++
	return <-m.answer, nil
}

// emptyStore takes all messages.
type emptyStore struct{ driver.QueueStore }

func (emptyStore) Store(_ *driver.Message, _ driver.StoreOptions, done func(error)) { done(nil) }

// TestSendersShareOneQuestionToTheStore: who reaches the limit while the store is being asked
// gets the same answer, and who is below it does not wait for that.
func TestSendersShareOneQuestionToTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := &slowMemory{answer: make(chan int64)}
		s := &memoryQueueStore{
			QueueStore: emptyStore{}, memory: memory, clock: newClock(),
			budget: newBudget("memory_queue_bytes", "messages", CodeQueueFull, ByteLimits{User: 11_000}),
		}
		o := driver.StoreOptions{Queue: driver.QueueOptions{Memory: true}}
		outcomes := make(chan error, 10)
		send := func(user string) {
			s.Store(&driver.Message{User: user, Key: "/queue/a", Body: []byte(strings.Repeat("x", 3000))}, o, func(err error) { outcomes <- err })
		}
		for range 2 {
			send("ann")
			require.NoError(t, <-outcomes)
		}
		for range 3 {
			go send("ann")
		}
		synctest.Wait()
		require.Len(t, outcomes, 1, "one more is below the limit, and two wait for the store")
		require.NoError(t, <-outcomes)
		send("bob")
		require.NoError(t, <-outcomes, "who is below the limit waits for nothing")
		memory.answer <- 0
		synctest.Wait()
		require.Len(t, outcomes, 2)
		require.NoError(t, <-outcomes)
		require.NoError(t, <-outcomes)
		require.Equal(t, 1, memory.asked)
	})
}
