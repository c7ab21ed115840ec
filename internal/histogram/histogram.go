// Package histogram counts durations without a lock, for code that is too hot to know
// of Prometheus. Package metrics shows what was counted.
package histogram

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets of a [Histogram], from a tenth of a
// millisecond to ten seconds.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations by [Bounds]. The zero value is empty. It is safe for
// concurrent use, and observing allocates nothing.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64 // the last one is of what is over all bounds
	sum     atomic.Int64
}

// Observe counts a duration. A negative one, such as from a clock that was set, is zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Since counts the time since start.
func (h *Histogram) Since(start time.Time) { h.Observe(time.Since(start)) }

// Snapshot is what was counted up to now.
type Snapshot struct {
	Count      uint64
	Sum        time.Duration
	Cumulative [len(Bounds)]uint64 // how many took at most the bound of the same index
}

// Snapshot returns the counts as they are now.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.buckets {
		s.Count += h.buckets[i].Load()
		if i < len(Bounds) {
			s.Cumulative[i] = s.Count
		}
	}
	return s
}
