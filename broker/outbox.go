package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/histogram"
)

// outbox is all that is to be written to one connection, in order. Nothing else
// writes to it. It has no goroutine while it is empty: the push that finds it
// idle starts one, which ends when nothing is left.
type outbox struct {
	transport  Transport
	options    *OutboxOptions
	clock      *clock
	startFlush func() // o.flush, kept so that starting it does not allocate
	onFull     func() // called once, without the lock, when a consumer is too slow
	onError    func(error)

	mu       sync.Mutex
	queue    []item
	cut      bool // the memory of queue has a part before it, which is written
	frames   int  // queued and being written
	bytes    int
	inFlight struct{ frames, bytes int } // of these, being written
	buffered struct{ frames, bytes int } // held by subscriptions whose past is being delivered
	state    outboxState
	running  bool
	paused   bool // the running flush waits, on a saturated node
	overfull bool
	// overBudget says that it is overfull as its user has too much in all outboxes.
	overBudget bool

	immediate bool // the transport is an ImmediateTransport; not under mu

	linger time.Duration
	newest map[conflateKey]int // places in queue, plus taken, while conflating
	taken  int                 // items that left the queue since newest was made

	sampledAt int64 // clock time at which a message in the queue was published, or 0; under mu

	written   atomic.Int64    // bytes in all
	traffic   *transportStats // of all connections of this kind
	latency   *histogram.Histogram
	pacing    *pacing
	bursts    atomic.Bool  // the last write had many messages of topics
	lastWrite atomic.Int64 // clock time of the last completed write
	writing   atomic.Int64 // clock time since which a write is under way, or 0
	dropped   *atomic.Int64
	marksGaps bool // the next message of a subscription says that others were dropped before it
	onWritten func([]*delivery)
	// acknowledging counts the writes under way of messages that are acknowledged once they are written.
	acknowledging atomic.Int32

	onDrained chan struct{} // closed when all is written or the connection is lost; nil while nothing waits

	waiters  []waiter  // who found no room, under mu
	eventIDs *eventIDs // of a stream whose places have to be known, else nil
	waiting  waiting   // what counts of the queue, and of what is buffered; under mu
}

// waiter waits for room in an outbox. spaceFreed is called without a lock.
type waiter interface{ spaceFreed() }

type outboxState uint8

const (
	outboxOpen   outboxState = iota
	outboxEnding             // takes no more; Finish when empty
	outboxClosed
)

// item is one frame in its wire form. Only topics' messages have a sub; they are
// what policies may drop. A queue's message has a delivery.
type item struct {
	data        []byte
	sub         *subscription
	destination string
	delivery    *delivery
	gap         bool // it says that something before it is missing
}

type conflateKey struct {
	sub         *subscription
	destination string
}

// push queues a frame that no policy may drop, such as a RECEIPT or a pong. A
// peer that asks for more of them than it reads is too slow under every policy.
// It does nothing once the outbox ends.
func (o *outbox) push(data []byte) { o.pushHeld(data, nil) }

// pushHeld is push within a read, whose end is soon enough for a flush. See [flushList].
func (o *outbox) pushHeld(data []byte, flushes *flushList) {
	o.mu.Lock()
	it := item{data: data}
	switch {
	case o.state != outboxOpen:
		o.mu.Unlock()
	case (o.fitsLocked(len(data)) || o.makeRoomLocked(it)) && (o.waiting.isFreeLocked(o, len(data)) || o.waiting.admitLocked(o, it, nil)):
		o.addHeldLocked(it, flushes)
		o.mu.Unlock()
	default:
		o.overflowAndUnlock()
	}
}

// overflowAndUnlock reports a full outbox, once. It releases the lock.
func (o *outbox) overflowAndUnlock() {
	first := !o.overfull
	o.overfull = true
	o.mu.Unlock()
	o.dropped.Add(1)
	if first {
		o.onFull()
	}
}

// pushMessage queues a message and reports whether it did. A message that is a sample
// has the clock time at which it was published, others have 0. Flushes and shared may be nil.
func (o *outbox) pushMessage(data []byte, s *subscription, m *driver.Message, publishedAt int64, flushes *flushList, shared *backlogs) bool {
	o.mu.Lock()
	if o.state != outboxOpen || s.closed {
		o.mu.Unlock()
		return false
	}
	gap := m.Gap
	if r := s.replay; r != nil {
		if !r.admitLocked(o, data, m, shared) {
			o.mu.Unlock()
			return false
		}
		if r.gap {
			r.gap, gap = false, true
			data = encodeFor(s, m.AfterGap())
		}
	}
	if s.gap {
		s.gap, gap = false, true
		data = encodeFor(s, m.AfterGap())
	}
	it := o.messageItemLocked(data, s, m)
	it.gap = gap
	if (o.fitsLocked(len(data)) || o.makeRoomLocked(it)) && (o.waiting.isFreeLocked(o, len(it.data)) || o.waiting.admitLocked(o, it, shared)) {
		if s.gap { // to make room
			it = o.markGapLocked(it, s, m)
		}
		if publishedAt != 0 && o.sampledAt == 0 {
			o.sampledAt = publishedAt
		}
		if place, ok := o.newest[conflateKey{s, m.Destination}]; ok {
			at := place - o.taken
			if o.queue[at].gap && !it.gap {
				it = o.markGapLocked(it, s, m)
			}
			o.bytes += len(it.data) - len(o.queue[at].data)
			o.waiting.leave(o.queue[at].data)
			o.queue[at] = it
			o.dropped.Add(1)
		} else {
			if o.newest != nil {
				o.newest[conflateKey{s, m.Destination}] = o.taken + len(o.queue)
			}
			o.addHeldLocked(it, flushes)
		}
		o.mu.Unlock()
		return true
	}
	o.overflowAndUnlock()
	return false
}

// markGapLocked has a message that is about to be queued say that something before it is missing.
func (o *outbox) markGapLocked(it item, s *subscription, m *driver.Message) item {
	s.gap = false
	o.waiting.leave(it.data)
	it = o.messageItemLocked(encodeFor(s, m.AfterGap()), s, m)
	it.gap = true
	o.waiting.countLocked(o, it.data, nil) // a header more
	return it
}

// noteGap has the next message of a subscription say that something before it is missing: the
// message that would have said so is for other sessions.
func (o *outbox) noteGap(s *subscription) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.gap = true
}

// takes reports whether messages of a subscription may still be queued.
func (o *outbox) takes(s *subscription) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state == outboxOpen && !s.closed
}

// pushDelivery queues a queue's message, unless half of the room is taken: a
// queue keeps what a slow consumer does not read, until there is room.
func (o *outbox) pushDelivery(data []byte, d *delivery) pushResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen || d.sub.closed {
		return pushClosed
	}
	if o.halfFullLocked(len(data)) {
		o.waiters = append(o.waiters, d.sub.consumer)
		return pushFull
	}
	o.addLocked(item{data: data, delivery: d})
	return pushed
}

// pushReplayed queues a message of the past, unless half of the room is taken.
func (o *outbox) pushReplayed(data []byte, s *subscription, m *driver.Message) pushResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.state != outboxOpen || s.closed:
		return pushClosed
	case o.halfFullLocked(len(data)):
		o.waiters = append(o.waiters, s.replay)
		return pushFull
	}
	it := o.messageItemLocked(data, s, m)
	if !o.waiting.countLocked(o, it.data, nil) {
		o.waiters = append(o.waiters, s.replay)
		return pushFull
	}
	o.addLocked(it)
	return pushed
}

// goLive ends the holding of live messages: those after upTo are queued. It
// returns how many that were, or pushSkipped where too many came to be held.
func (o *outbox) goLive(s *subscription, upTo driver.StreamPosition) (result pushResult, queued int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := s.replay
	r.deliveredUpTo = upTo
	switch {
	case o.state != outboxOpen || s.closed:
		return pushClosed, 0
	case r.overflowed:
		r.overflowed = false
		return pushSkipped, 0
	case len(r.buffered) > 0 && o.halfFullLocked(r.bufferedBytes):
		o.waiters = append(o.waiters, r)
		return pushFull, 0
	}
	if r.receipt != "" {
		o.addLocked(item{data: s.placeReceipt(upTo)})
		r.receipt = ""
	}
	o.pushEventIDLocked(s, upTo)
	for i, h := range r.buffered {
		if !r.isNewLocked(h.message) {
			continue
		}
		if r.gap {
			r.gap = false
			h.data = encodeFor(s, h.message.AfterGap())
		}
		it := o.messageItemLocked(h.data, s, h.message)
		if sameBytes(it.data, r.buffered[i].data) {
			r.buffered[i].data = nil // it goes on to count
		}
		o.addLocked(it)
		queued++
	}
	r.live = true
	r.dropBufferedLocked(o)
	return pushed, queued
}

// halfFullLocked reports whether half of the room is taken, which leaves the other
// half to what cannot wait.
func (o *outbox) halfFullLocked(size int) bool {
	return o.frames > 0 && (o.frames >= o.options.MaxFrames/2 || o.bytes+size > o.options.MaxBytes/2)
}

// fitsLocked reports whether the limits leave room. A frame of any size fits into an
// empty outbox.
func (o *outbox) fitsLocked(size int) bool {
	return o.frames == 0 || (o.frames < o.options.MaxFrames && o.bytes+size <= o.options.MaxBytes)
}

// addLocked queues an item, and starts the flush when none is running. The caller
// holds the lock.
func (o *outbox) addLocked(it item) { o.addHeldLocked(it, nil) }

// addHeldLocked is addLocked within a read: a flush that is not running is noted in
// flushes, where that is not nil.
func (o *outbox) addHeldLocked(it item, flushes *flushList) {
	o.queue = appendPooled(o.queue, it)
	o.frames++
	o.bytes += len(it.data)
	switch {
	case !o.running:
		o.running = true
		if flushes != nil {
			flushes.outboxes = append(flushes.outboxes, o)
			return
		}
		go o.startFlush()
	case o.paused && o.pressingLocked():
		o.endPauseLocked()
	}
}

// end queues the last frames and takes no more. With drop, messages that wait
// are thrown away first. The connection is finished once all is written.
func (o *outbox) end(drop bool, linger time.Duration, last ...[]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return
	}
	if drop {
		for _, it := range o.queue {
			o.frames--
			o.bytes -= len(it.data)
		}
		o.waiting.leaveAll(o.queue)
		clear(o.queue)
		o.queue = o.queue[:0]
		o.newest = nil
	}
	o.state, o.linger = outboxEnding, linger
	for _, data := range last {
		if data != nil {
			o.addLocked(item{data: data})
		}
	}
	if !o.running {
		o.running = true
		go o.startFlush()
	}
	o.endPauseLocked()
}

// sentAfter returns how many bytes the connection gets in all if end is called now, with
// last frames of so many bytes, and the peer reads them.
func (o *outbox) sentAfter(drop bool, last int) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	pending := o.bytes
	if drop {
		pending = o.inFlight.bytes
	}
	return o.written.Load() + int64(pending+last)
}

// abandon is end without last words: the connection is gone.
func (o *outbox) abandon() {
	o.mu.Lock()
	o.state = outboxClosed
	o.waiting.clear()
	clear(o.queue)
	o.queue, o.newest = nil, nil
	o.signalDrainedLocked()
	o.mu.Unlock()
}

// drained returns a channel that is closed when the outbox has ended and all is
// written, or the connection is lost.
func (o *outbox) drained() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.onDrained == nil {
		o.onDrained = make(chan struct{})
		if o.state == outboxClosed || o.state == outboxEnding && !o.running {
			close(o.onDrained)
		}
	}
	return o.onDrained
}

func (o *outbox) signalDrainedLocked() {
	if o.onDrained == nil {
		return
	}
	select {
	case <-o.onDrained:
	default:
		close(o.onDrained)
	}
}

// dropDeliveries takes the messages of queues out that were not written yet.
func (o *outbox) dropDeliveries() {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.queue[:0]
	for _, it := range o.queue {
		if it.delivery != nil {
			it.delivery.untouched = true
			o.frames--
			o.bytes -= len(it.data)
			continue
		}
		kept = append(kept, it)
	}
	if len(kept) < len(o.queue) {
		clear(o.queue[len(kept):])
		o.queue, o.newest = kept, nil // the places have changed
	}
}

// closeSubscription has the outbox take no more of s: what was pushed before is
// still written. Where its past was still on its way, it has its RECEIPT all the same.
func (o *outbox) closeSubscription(s *subscription) {
	o.mu.Lock()
	s.closed = true
	if r := s.replay; r != nil && r.receipt != "" && o.state == outboxOpen {
		o.addLocked(item{data: s.placeReceipt(driver.StreamPosition{})})
		r.receipt = ""
	}
	if s.replay != nil {
		s.replay.dropBufferedLocked(o)
	}
	o.mu.Unlock()
}
