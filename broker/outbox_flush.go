package broker

import (
	"sync"
	"time"
)

var (
	itemPool  = sync.Pool{New: func() any { q := make([]item, 0, 64); return &q }}
	fewPooled = sync.Pool{New: func() any { return new([fewItems]item) }}
	batches   = sync.Pool{New: func() any { b := make([][]byte, 0, 64); return &b }}
)

const (
	// fewItems is how many a queue has room for at first. Where a message is pushed to many
	// outboxes before they are flushed, each of their queues takes memory until then.
	fewItems = 4
	// minPooled and maxPooled bound the slices that are kept for reuse.
	minPooled, maxPooled = 16, 4096
	// maxWriteBytes bounds one write, except for one larger frame. What waits behind it can
	// still be dropped or replaced, and room is free again as soon as the peer has taken
	// a part.
	maxWriteBytes = 128 << 10
)

// appendPooled appends to a queue whose memory is that of a pool.
func appendPooled(queue []item, it item) []item {
	if queue == nil {
		queue = fewPooled.Get().(*[fewItems]item)[:0]
	}
	if len(queue) == cap(queue) && cap(queue) == fewItems {
		few := queue
		queue = append(*itemPool.Get().(*[]item), few...)
		releaseItems(few)
	}
	return append(queue, it)
}

// releaseItems gives the memory of a queue back.
func releaseItems(queue []item) {
	clear(queue)
	if cap(queue) == fewItems {
		fewPooled.Put((*[fewItems]item)(queue[:fewItems]))
		return
	}
	if cap(queue) >= minPooled && cap(queue) <= maxPooled {
		kept := queue[:0]
		itemPool.Put(&kept)
	}
}

// flush writes until nothing is left. It lets the other goroutines go first.
func (o *outbox) flush() {
	for o.yield() {
		o.mu.Lock()
		if len(o.queue) == 0 || o.state == outboxClosed {
			o.running = false
			ended := o.state == outboxEnding
			o.mu.Unlock()
			if ended {
				o.transport.Finish(o.linger)
				o.mu.Lock()
				o.signalDrainedLocked()
				o.mu.Unlock()
			}
			return
		}
		w := o.takeWriteLocked()
		o.mu.Unlock()
		if !o.write(w) {
			return
		}
	}
}

// takeLocked takes from the queue what the next write has: all of it, or as much as one
// write may have.
func (o *outbox) takeLocked() []item {
	if o.bytes <= maxWriteBytes && !o.cut {
		queue := o.queue
		o.queue, o.newest = nil, nil
		o.inFlight.frames, o.inFlight.bytes = o.frames, o.bytes
		return queue
	}
	n, bytes := 0, 0
	for n < len(o.queue) && (n == 0 || bytes+len(o.queue[n].data) <= maxWriteBytes) {
		bytes += len(o.queue[n].data)
		n++
	}
	taken := append(*itemPool.Get().(*[]item), o.queue[:n]...)
	o.inFlight.frames, o.inFlight.bytes = n, bytes
	if o.newest != nil {
		o.taken += n
		for _, it := range taken {
			if key := (conflateKey{it.sub, it.destination}); o.newest[key] < o.taken {
				delete(o.newest, key) // the next one takes a place of its own
			}
		}
	}
	clear(o.queue[:n])
	o.cut = true
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue, o.newest, o.cut = nil, nil, false
	}
	return taken
}

// write is what is written to a connection with one call.
type write struct {
	queue      []item
	batch      *[][]byte
	left       [][]byte // of the batch, what is still to be written
	bytes      int
	messages   int         // of topics
	deliveries []*delivery // which are acknowledged when they are written
	sampledAt  int64
}

// takeWriteLocked takes the next write from the queue.
func (o *outbox) takeWriteLocked() write {
	w := write{queue: o.takeLocked(), batch: batches.Get().(*[][]byte)}
	if len(o.queue) == 0 {
		w.sampledAt, o.sampledAt = o.sampledAt, 0
	}
	batch := *w.batch
	for i := range w.queue {
		it := &w.queue[i]
		batch = append(batch, it.data)
		w.bytes += len(it.data)
		if it.sub != nil {
			w.messages++
		}
		if d := it.delivery; d != nil && d.sub.ack == ackAuto {
			w.deliveries = append(w.deliveries, d)
		}
	}
	*w.batch, w.left = batch, batch
	if len(w.deliveries) > 0 {
		o.acknowledging.Add(1)
	}
	return w
}

// write writes what is left of a write, and reports whether the connection took it.
func (o *outbox) write(w write) bool {
	o.writing.Store(o.clock.now())
	err := o.transport.Write(w.left)
	o.writing.Store(0)
	o.finishWrite(&w, err == nil)
	if err != nil {
		o.abandon()
		o.onError(err)
	}
	return err == nil
}

// finishWrite notes that a write has ended, and calls who waits for that.
func (o *outbox) finishWrite(w *write, ok bool) {
	o.lastWrite.Store(o.clock.now())
	o.bursts.Store(w.messages >= minBurst)
	if ok {
		o.traffic.sent.Add(int64(w.bytes))
		if w.sampledAt != 0 {
			o.latency.Observe(time.Duration(o.lastWrite.Load() - w.sampledAt))
		}
	}
	o.mu.Lock()
	if ok {
		o.written.Add(int64(w.bytes))
	}
	o.frames -= len(w.queue)
	o.bytes -= w.bytes
	o.inFlight.frames, o.inFlight.bytes = 0, 0
	o.waiting.leaveAll(w.queue)
	var waiters []waiter
	if o.frames <= o.options.MaxFrames/4 && o.bytes <= o.options.MaxBytes/4 {
		waiters, o.waiters = o.waiters, nil
	}
	o.mu.Unlock()
	if len(w.deliveries) > 0 {
		if ok {
			o.onWritten(w.deliveries)
		}
		o.acknowledging.Add(-1)
	}
	for _, waiting := range waiters {
		waiting.spaceFreed()
	}
	w.release()
}

// release gives back what a write was made of.
func (w *write) release() {
	clear(*w.batch)
	*w.batch = (*w.batch)[:0]
	if cap(*w.batch) <= maxPooled {
		batches.Put(w.batch)
	}
	releaseItems(w.queue)
}

// flushNow writes what the connection takes at once. A goroutine does what is left, and what
// tells a queue of it: that may ask a store for more, which others are not to wait for.
func (o *outbox) flushNow() {
	o.mu.Lock()
	if !o.immediate || o.state != outboxOpen || len(o.queue) == 0 || o.bytes > maxWriteBytes || len(o.waiters) > 0 {
		o.mu.Unlock()
		go o.startFlush()
		return
	}
	w := o.takeWriteLocked()
	o.mu.Unlock()
	if len(w.deliveries) > 0 {
		go o.resume(w)
		return
	}
	n := o.transport.(ImmediateTransport).WriteNow(w.left)
	if n < w.bytes {
		w.skip(n)
		go o.resume(w)
		return
	}
	o.finishWrite(&w, true)
	o.mu.Lock()
	more := len(o.queue) > 0 || o.state != outboxOpen
	o.running = more
	o.mu.Unlock()
	if more {
		go o.startFlush()
	}
}

// resume goes on where flushNow had to stop, and flushes the rest.
func (o *outbox) resume(w write) {
	if o.write(w) {
		o.flush()
	}
}

// awaitAcknowledged returns when no write is under way of messages that are acknowledged once they
// are written: the client of one that is nearly done may have left for what it got. It
// waits for a second at most.
func awaitAcknowledged(o *outbox) {
	for began := time.Now(); o.acknowledging.Load() > 0 && time.Since(began) < time.Second; {
		time.Sleep(time.Millisecond)
	}
}
