package broker

import (
	"strings"
	"sync"
	"time"

	"github.com/stompbox/stompbox/frames"
)

const (
	// dedupOverhead is what a store keeps of a dedup id in addition to its text, about.
	dedupOverhead = 192
	// dedupSlots is in how many parts of the window ids are forgotten.
	dedupSlots = 8
)

// dedupWindow counts the dedup ids that the store remembers, by who sent them. It is safe
// for concurrent use.
type dedupWindow struct {
	budget *budget
	clock  *clock
	slot   int64 // nanoseconds

	mu    sync.Mutex  // guards the following
	slots []dedupSlot // the oldest first
}

type dedupSlot struct {
	since int64 // clock time
	bytes map[string]int
}

func newDedupWindow(b *budget, c *clock, window time.Duration) *dedupWindow {
	return &dedupWindow{budget: b, clock: c, slot: max(int64(window)/dedupSlots, 1)}
}

// take counts an id of a user, until the store has forgotten it.
func (w *dedupWindow) take(user, id string) *Error {
	if w == nil || id == "" {
		return nil
	}
	n, now := len(id)+dedupOverhead, w.clock.now()
	w.forget(now)
	if err := w.budget.take(user, n); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.slots) - 1
	if last < 0 || now-w.slots[last].since >= w.slot {
		w.slots = append(w.slots, dedupSlot{now, make(map[string]int)})
		last++
	}
	w.slots[last].bytes[user] += n
	return nil
}

// forget gives back the ids of what is older than the window.
func (w *dedupWindow) forget(now int64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	var old []dedupSlot
	for len(w.slots) > 0 && now-w.slots[0].since >= w.slot*(dedupSlots+1) {
		old, w.slots = append(old, w.slots[0]), w.slots[1:]
	}
	w.mu.Unlock()
	for _, slot := range old {
		for user, n := range slot.bytes {
			w.budget.give(user, n)
		}
	}
}

// dedupID returns the dedup id of a SEND, or "".
func (b stores) dedupID(user string, f *frames.Frame) (string, error) {
	id := f.Get(HeaderDedupID)
	if limit := b.settings().limits.MaxDedupID; limit > 0 && len(id) > limit {
		return "", errorf(CodeBadHeader, "%s has %d bytes; the limit is %d (limits.dedup_id)", HeaderDedupID, len(id), limit).of("dedup_id")
	}
	if err := b.dedup.take(user, id); err != nil {
		return "", err
	}
	return strings.Clone(id), nil
}
