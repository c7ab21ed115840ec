package broker

import "sync/atomic"

// uncountedBacklog is how much may wait in one outbox that no budget counts: clients that
// read as fast as messages come have less.
const uncountedBacklog = 256 << 10

// backlog is one encoding that waits in outboxes whose clients do not read as fast. It counts
// once, however many outboxes share it, for the user of the first of them.
type backlog struct {
	budget *budget
	user   string
	bytes  int
	places atomic.Int32 // in how many outboxes it waits; with 0 it counts no more
}

// join notes one more outbox, and reports false where the encoding counts no more.
func (b *backlog) join() bool {
	for {
		n := b.places.Load()
		if n == 0 {
			return false
		}
		if b.places.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave notes that an outbox has written the encoding, or dropped it.
func (b *backlog) leave() {
	if b.places.Add(-1) == 0 {
		b.budget.give(b.user, b.bytes)
	}
}

// backlogs are those of the encodings of one message, while it is pushed to its subscribers.
type backlogs struct {
	last *byte // the first byte of the encoding that was last asked for
	of   *backlog
	all  map[*byte]*backlog
}

func (b *backlogs) clear() {
	b.last, b.of = nil, nil
	clear(b.all)
}

// join finds that of an encoding, if it counts, and notes one more outbox.
func (b *backlogs) join(first *byte) *backlog {
	if b.last != first {
		b.last, b.of = first, b.all[first]
	}
	if b.of == nil || !b.of.join() {
		return nil
	}
	return b.of
}

func (b *backlogs) put(first *byte, counted *backlog) {
	if b.all == nil {
		b.all = make(map[*byte]*backlog)
	}
	b.last, b.of = first, counted
	b.all[first] = counted
}

// waiting are the encodings of one outbox that count. Its lock guards it.
type waiting struct {
	session *Session // of whose user they are; nil: nothing counts
	counted map[*byte]*backlog
}

// count counts an encoding, and reports false where its user has too much: so many times
// the limit. Shared has the backlogs of the same message for others, or is nil.
func (w *waiting) count(data []byte, times int, shared *backlogs) bool {
	if w.session == nil || len(data) == 0 {
		return true
	}
	first := &data[0]
	if w.counted[first] != nil {
		return true
	}
	var counted *backlog
	if shared != nil {
		counted = shared.join(first)
	}
	if counted == nil {
		if counted = w.newBacklog(len(data), times); counted == nil {
			return false
		}
		if shared != nil {
			shared.put(first, counted)
		}
	}
	if w.counted == nil {
		w.counted = make(map[*byte]*backlog)
	}
	w.counted[first] = counted
	return true
}

func (w *waiting) newBacklog(bytes, times int) *backlog {
	b := &backlog{budget: w.session.broker.memory.outboxes, user: w.session.user, bytes: bytes}
	if b.budget.takeTimes(b.user, bytes, times) != nil {
		return nil
	}
	b.places.Store(1)
	return b
}

// leave notes that an encoding waits no longer.
func (w *waiting) leave(data []byte) {
	if len(w.counted) == 0 || len(data) == 0 {
		return
	}
	first := &data[0]
	if b := w.counted[first]; b != nil {
		b.leave()
		delete(w.counted, first)
	}
	if len(w.counted) == 0 {
		w.counted = nil
	}
}

func (w *waiting) leaveAll(items []item) {
	if w.counted == nil {
		return
	}
	for i := range items {
		w.leave(items[i].data)
	}
}

// clear has nothing wait: the connection is gone.
func (w *waiting) clear() {
	for _, b := range w.counted {
		b.leave()
	}
	w.counted = nil
}

func sameBytes(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// maxOverEmpty is how many times the limit a user may have where an outbox is empty: a frame
// of any size fits into it.
const maxOverEmpty = 2

// isFreeLocked reports whether so many bytes need not be counted.
func (w *waiting) isFreeLocked(o *outbox, bytes int) bool {
	return o.bytes+o.buffered.bytes+bytes <= uncountedBacklog
}

// countLocked counts an encoding that is to wait, and reports false where its user has too
// much. Shared has the backlogs of the same message for others, or is nil.
func (w *waiting) countLocked(o *outbox, data []byte, shared *backlogs) bool {
	times := 1
	if o.frames == 0 {
		times = maxOverEmpty
	}
	return w.isFreeLocked(o, len(data)) || w.count(data, times, shared)
}

// admitLocked counts an item that the outbox has room for, and reports whether it can be
// queued. A policy other than to disconnect drops all messages that wait, where the user of
// the connection has too much.
func (w *waiting) admitLocked(o *outbox, it item, shared *backlogs) bool {
	if w.countLocked(o, it.data, shared) {
		return true
	}
	if it.sub == nil || o.options.Policy == PolicyDisconnect {
		o.overBudget = true
		return false
	}
	w.dropMessagesLocked(o)
	w.countLocked(o, it.data, shared)
	return true
}

// dropMessagesLocked drops all messages of topics that wait.
func (w *waiting) dropMessagesLocked(o *outbox) {
	kept := o.queue[:0]
	for _, it := range o.queue {
		if it.sub != nil {
			it.sub.gap = o.marksGaps
			w.dropItemLocked(o, it)
			continue
		}
		kept = append(kept, it)
	}
	clear(o.queue[len(kept):])
	o.queue, o.newest = kept, nil
}

// dropItemLocked counts an item that was dropped.
func (w *waiting) dropItemLocked(o *outbox, it item) {
	o.frames--
	o.bytes -= len(it.data)
	o.dropped.Add(1)
	w.leave(it.data)
}
