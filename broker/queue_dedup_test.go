package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDedupWindowForgets(t *testing.T) {
	t.Parallel()
	b := newBudget("dedup_bytes", "ids", CodeMemoryLimit, ByteLimits{User: 3 * (dedupOverhead + 1)})
	const window = 2 * time.Minute
	w := newDedupWindow(b, newClock(), window)
	for range 3 {
		require.Nil(t, w.take("ann", "i"))
	}
	require.NotNil(t, w.take("ann", "i"))
	require.Nil(t, w.take("ann", ""), "who sends no id takes nothing")
	require.Nil(t, w.take("bob", "i"))
	now := w.clock.now()
	w.forget(now + int64(window))
	require.NotNil(t, w.take("ann", "i"), "the window is not over for the last one")
	w.forget(now + int64(2*window))
	require.Zero(t, b.node.Load())
	require.Empty(t, w.slots)
	require.Nil(t, w.take("ann", "i"))

	own := newDedupWindow(b, newClock(), time.Second)
	require.Equal(t, int64(time.Second), own.slot*dedupSlots)
}
