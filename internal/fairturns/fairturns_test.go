package fairturns_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/fairturns"
)

// TestUsersTakeTurns: one user with many pieces does not have another one wait for all of them.
func TestUsersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := fairturns.New(1)
		turns.Take("first")
		var mu sync.Mutex
		var order []string
		for _, user := range []string{"mallory", "mallory", "mallory", "alice", "bob", "alice"} {
			go func() {
				turns.Take(user)
				mu.Lock()
				order = append(order, user)
				mu.Unlock()
				turns.Give()
			}()
			synctest.Wait() // so that they come in this order
		}
		require.Empty(t, order, "one at a time")
		turns.Give()
		synctest.Wait()
		require.Equal(t, []string{"mallory", "alice", "bob", "mallory", "alice", "mallory"}, order)
	})
}

// TestNoMoreThanSomeWorkAtATime has many do so.
func TestNoMoreThanSomeWorkAtATime(t *testing.T) {
	t.Parallel()
	turns := fairturns.New(2)
	var working, most atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 100 {
				turns.Take(string(rune('a' + i%5)))
				if n := working.Add(1); n > most.Load() {
					most.Store(n)
				}
				working.Add(-1)
				turns.Give()
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(2))
}
