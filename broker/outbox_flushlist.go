package broker

import (
	"runtime"
	"sync"
)

// flushList are the outboxes that one read of a connection, or the message of another
// source, found idle. Those of a read are flushed when all its whole frames were handled,
// so that what a client sends at once leaves at once too. Until then other pushes count on
// the list: it must not wait for anything. A frame whose handling may is preceded by start.
type flushList struct{ outboxes []*outbox }

const (
	// maxImmediate is how many outboxes the reader flushes by itself, and how many a group
	// has. More are faster with goroutines, which yield before they write, so that more
	// is pushed meanwhile.
	maxImmediate = 16
	// maxListed bounds the list that is kept for the next read.
	maxListed = 4096
)

// start has goroutines flush the outboxes: one for each group of those that can be written
// to without blocking, and one for each of the others. Bursts wait for turns of their own; see
// [outbox.yield].
func (l *flushList) start() {
	if l == nil || len(l.outboxes) == 0 {
		return
	}
	var g *flushGroup
	for _, o := range l.outboxes {
		if !o.immediate || o.bursts.Load() {
			go o.startFlush()
			continue
		}
		if g == nil {
			g = newFlushGroup()
		}
		g.outboxes[g.count] = o
		if g.count++; g.count == len(g.outboxes) {
			go g.start()
			g = nil
		}
	}
	if g != nil {
		go g.start()
	}
	l.reset()
}

// startFull is start for a list that has enough for a group.
func (l *flushList) startFull() {
	if len(l.outboxes) >= maxImmediate {
		l.start()
	}
}

// flushGroup are outboxes that one goroutine flushes. A goroutine for each would be most of
// what a delivery costs where many have to be flushed: each has a stack, which has left the
// processor's caches before it runs.
type flushGroup struct {
	outboxes [maxImmediate]*outbox
	count    int
	start    func() // flush, kept so that starting it does not allocate
}

var flushGroups sync.Pool

func newFlushGroup() *flushGroup {
	g, ok := flushGroups.Get().(*flushGroup)
	if !ok {
		g = new(flushGroup)
		g.start = g.flush
	}
	return g
}

// flush lets other goroutines go first, as [outbox.yield] does, and flushes without blocking.
func (g *flushGroup) flush() {
	runtime.Gosched()
	for _, o := range g.outboxes[:g.count] {
		o.flushNow()
	}
	clear(g.outboxes[:g.count])
	g.count = 0
	flushGroups.Put(g)
}

// flush flushes the outboxes at the end of a read, without blocking.
func (l *flushList) flush() {
	if len(l.outboxes) > maxImmediate {
		l.start()
		return
	}
	for _, o := range l.outboxes {
		o.flushNow()
	}
	l.reset()
}

func (l *flushList) reset() {
	clear(l.outboxes)
	l.outboxes = l.outboxes[:0]
	if cap(l.outboxes) > maxListed {
		l.outboxes = nil
	}
}

// skip drops the first n bytes of what is left.
func (w *write) skip(n int) {
	for n > 0 {
		if first := w.left[0]; n < len(first) {
			w.left[0] = first[n:]
			return
		}
		n -= len(w.left[0])
		w.left = w.left[1:]
	}
}
