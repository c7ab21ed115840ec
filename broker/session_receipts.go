package broker

import (
	"strings"
	"sync"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// outcome says how far a frame was carried out when its handler returned without an
// error, and so what becomes of its receipt header.
type outcome uint8

const (
	outcomeReceipt   outcome = iota // it was carried out: its RECEIPT is due now
	outcomeConfirmed                // its RECEIPT was sent already, or takes its turn
	outcomePending                  // the store has the last word: the RECEIPT follows it
)

// maxUnconfirmedBytes bounds the bodies that wait for the store, per session.
const maxUnconfirmedBytes = 8 << 20

// receiptQueue keeps RECEIPTs in the order of their frames, while some of them wait for
// the store, so that a session may have many SENDs in flight.
type receiptQueue struct {
	session *Session
	mu      sync.Mutex
	pending []*pendingReceipt
	bytes   int
	account account    // of what is pending, beyond a part that is free
	notFull *sync.Cond // where the session's reader waits
}

// pendingReceipt is the place of one frame in the queue.
type pendingReceipt struct {
	queue   *receiptQueue
	receipt string   // "" wants none
	headers []string // of the RECEIPT
	about   string   // the receipt that an ERROR names where there is none of its own
	bytes   int
	then    func() // instead of a RECEIPT
	store   bool   // the frame is a message for a store
	stored  []*storesAwaited
	done    bool
	err     error
}

// storesAwaited are messages for stores that a replay waits for.
type storesAwaited struct {
	left int           // under the queue's lock
	done chan struct{} // closed where none is left
}

// confirm sends the RECEIPT of a frame, when it is its turn.
func (s *Session) confirm(f *frames.Frame, headers ...string) {
	receipt, ok := f.Headers.Lookup(frames.Receipt)
	if !ok {
		return
	}
	q := &s.receipts
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		s.outbox.pushHeld(s.receiptFrame(receipt, headers), s.flushes)
		return
	}
	p := &pendingReceipt{queue: q, receipt: strings.Clone(receipt), headers: headers, bytes: receiptOverhead + len(receipt), done: true}
	s.flushes.start()
	if q.waitLocked(p.bytes); len(q.pending) > 0 {
		q.addLocked(p)
		return
	}
	q.account.sub(p.bytes)
	s.outbox.push(s.receiptFrame(receipt, headers))
}

func (s *Session) receiptFrame(id string, headers []string) []byte {
	return s.encode(frames.New(frames.RECEIPT, append([]string{frames.ReceiptID, id}, headers...)...))
}

// receiptOverhead is what the place of a frame takes, about.
const receiptOverhead = 128

// reserve takes a place for a frame whose outcome is not known yet. It waits while too
// many are pending, which keeps the session from being read.
func (q *receiptQueue) reserve(receipt string, bytes int, store bool) *pendingReceipt {
	p := &pendingReceipt{queue: q, receipt: strings.Clone(receipt), bytes: receiptOverhead + len(receipt) + bytes, store: store}
	q.mu.Lock()
	q.waitLocked(p.bytes)
	q.addLocked(p)
	q.mu.Unlock()
	return p
}

// waitLocked waits until there is room for one more, and counts its bytes: in the queue,
// and for a time in what the user's connections may have pending, which all ends soon,
// well or not. It releases the lock meanwhile.
func (q *receiptQueue) waitLocked(bytes int) {
	limit := q.session.broker.settings().queues.MaxUnconfirmed
	for len(q.pending) > 0 && (len(q.pending) >= limit || q.bytes+bytes > maxUnconfirmedBytes) {
		if q.notFull == nil {
			q.notFull = sync.NewCond(&q.mu)
		}
		q.notFull.Wait()
	}
	for began := time.Now(); q.account.add(bytes) != nil; {
		if time.Since(began) > q.session.broker.incomingPatience {
			q.account.force(bytes)
			break
		}
		q.mu.Unlock()
		time.Sleep(incomingRetry)
		q.mu.Lock()
	}
}

func (q *receiptQueue) addLocked(p *pendingReceipt) {
	q.pending = append(q.pending, p)
	q.bytes += p.bytes
}

// complete notes how the frame went. It is safe for concurrent use.
func (p *pendingReceipt) complete(err error) {
	q := p.queue
	q.mu.Lock()
	p.done, p.err = true, err
	for _, awaited := range p.stored {
		if awaited.left--; awaited.left == 0 {
			close(awaited.done)
		}
	}
	failed := q.advanceLocked()
	if q.notFull != nil {
		q.notFull.Broadcast()
	}
	q.mu.Unlock()
	if failed != nil {
		q.session.failPending(failed)
	}
}

// advanceLocked sends what is due at the head of the queue. It returns the first that
// failed, which ends the session.
func (q *receiptQueue) advanceLocked() (failed *pendingReceipt) {
	n := 0
	for n < len(q.pending) && q.pending[n].done && failed == nil {
		p := q.pending[n]
		n++
		q.bytes -= p.bytes
		q.account.sub(p.bytes)
		switch {
		case p.err != nil:
			failed = p
		case p.then != nil:
			p.then()
		case p.receipt != "":
			q.session.outbox.push(q.session.receiptFrame(p.receipt, p.headers))
		}
	}
	clear(q.pending[:n])
	if q.pending = q.pending[n:]; len(q.pending) == 0 {
		q.pending = nil
	}
	return failed
}

// afterPending calls then when all frames before have their RECEIPTs.
func (q *receiptQueue) afterPending(then func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		then()
		return
	}
	q.pending = append(q.pending, &pendingReceipt{queue: q, then: then, done: true})
}

// awaitStores returns a channel that is closed once all that was given to a store so far is
// there, or was refused.
func (q *receiptQueue) awaitStores() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	awaited := &storesAwaited{done: make(chan struct{})}
	for _, p := range q.pending {
		if p.store && !p.done {
			p.stored = append(p.stored, awaited)
			awaited.left++
		}
	}
	if awaited.left == 0 {
		close(awaited.done)
	}
	return awaited.done
}

// failPending ends the session for a frame that failed after it was read.
func (s *Session) failPending(p *pendingReceipt) {
	e := *protocolError(p.err)
	e.inSession(s.id)
	if e.receipt = p.receipt; e.receipt == "" {
		e.receipt = p.about
	}
	s.endWith(&e)
}
