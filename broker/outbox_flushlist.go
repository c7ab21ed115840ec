package broker

// flushList are the outboxes that one read of a connection found idle. They are flushed
// when all whole frames of the read were handled, so that what a client sends at once
// leaves at once too. Until then other pushes count on the list: it must not wait for
// anything. A frame whose handling may is preceded by start.
type flushList struct{ outboxes []*outbox }

const (
	// maxImmediate is how many outboxes the reader flushes by itself. More are faster
	// with a goroutine each, which yields before it writes, so that more is pushed
	// meanwhile.
	maxImmediate = 16
	// maxListed bounds the list that is kept for the next read.
	maxListed = 4096
)

// start has a goroutine flush each outbox.
func (l *flushList) start() {
	if l == nil || len(l.outboxes) == 0 {
		return
	}
	for _, o := range l.outboxes {
		go o.startFlush()
	}
	l.reset()
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
