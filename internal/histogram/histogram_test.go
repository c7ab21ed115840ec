package histogram_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/histogram"
)

func TestDurationsAreCountedByTheirBounds(t *testing.T) {
	t.Parallel()
	var h histogram.Histogram
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, d := range []time.Duration{-time.Second, 100 * time.Microsecond, 100*time.Microsecond + 1, time.Second, time.Minute} {
				h.Observe(d)
			}
		})
	}
	all.Wait()
	s := h.Snapshot()
	require.Equal(t, uint64(40), s.Count)
	require.Equal(t, 8*(61*time.Second+200*time.Microsecond+1), s.Sum)
	require.Equal(t, uint64(16), s.Cumulative[0], "a bound is part of its bucket, and less than nothing is nothing")
	require.Equal(t, uint64(24), s.Cumulative[1])
	require.Equal(t, uint64(24), s.Cumulative[11])
	require.Equal(t, uint64(32), s.Cumulative[12])
	require.Equal(t, uint64(32), s.Cumulative[len(histogram.Bounds)-1], "what is over all bounds is in the count alone")

}

func TestObservingAllocatesNothing(t *testing.T) {
	var h histogram.Histogram
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Observe(time.Second) }))
}
