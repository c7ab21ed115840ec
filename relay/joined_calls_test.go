package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAnAnswerIsOfAQuestionAfterTheCall: who calls while a question is under way gets no answer
// of it, and all of them share the next one.
func TestAnAnswerIsOfAQuestionAfterTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, asked := newJoinedCalls[int](), atomic.Int64{}
		ask := func(context.Context) (int, error) {
			n := int(asked.Add(1))
			time.Sleep(time.Second)
			return n, nil
		}
		answers := make(chan int, 11)
		call := func() {
			n, err := calls.do(t.Context(), ask)
			if err == nil {
				answers <- n
			}
		}
		go call()
		time.Sleep(time.Millisecond) // the first one is under way
		for range 10 {
			go call()
		}
		require.Equal(t, 1, <-answers)
		for range 10 {
			require.Equal(t, 2, <-answers)
		}
		require.EqualValues(t, 2, asked.Load())
	})
}

// TestWhoGivesUpDoesNotFailOthers: neither while it waits for its turn nor while it asks.
func TestWhoGivesUpDoesNotFailOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := newJoinedCalls[string]()
		ask := func(ctx context.Context) (string, error) {
			select {
			case <-time.After(time.Second):
				return "there", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		patient := make(chan error, 3)
		wait := func(ctx context.Context) { _, err := calls.do(ctx, ask); patient <- err }
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		shorter, cancelShorter := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancelShorter()
		gone := make(chan error, 2)
		for _, ctx := range []context.Context{short, shorter} { // one asks, the next waits for its turn
			go func() { _, err := calls.do(ctx, ask); gone <- err }()
			time.Sleep(time.Millisecond)
		}
		for range 3 {
			go wait(t.Context())
		}
		require.ErrorIs(t, <-gone, context.DeadlineExceeded)
		require.ErrorIs(t, <-gone, context.DeadlineExceeded)
		for range 3 {
			require.NoError(t, <-patient)
		}
		_, err := calls.do(t.Context(), func(context.Context) (string, error) { return "", errors.New("no") })
		require.EqualError(t, err, "no")
	})
}
