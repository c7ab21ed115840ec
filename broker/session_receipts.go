package broker

import (
	"errors"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/frames"
)

// errLater says that a frame's answer comes once the store has answered.
var errLater = errors.New("broker: the answer comes later")

// mostUnconfirmedBytes bounds the bodies that wait for the store, per session.
const maxUnconfirmedBytes = 8 << 20

// line keeps answers in the order of their frames, while some of them wait for
// the store. RECEIPTs are so many in flight, and still in order.
type receiptQueue struct {
	session *Session
	mu      sync.Mutex
	pending []*pendingReceipt
	bytes   int
	notFull *sync.Cond // where the reader waits for others' answers
}

// answer is what becomes of one frame.
type pendingReceipt struct {
	queue   *receiptQueue
	receipt string // "" wants none
	about   string // the receipt that an ERROR names where there is none of its own
	bytes   int
	then    func() // instead of a RECEIPT
	done    bool
	err     error
}

// confirm answers a receipt header, when it is its turn.
func (s *Session) confirm(f *frames.Frame) {
	receipt, ok := f.Headers.Lookup(frames.Receipt)
	if !ok {
		return
	}
	s.receipts.mu.Lock()
	defer s.receipts.mu.Unlock()
	if len(s.receipts.pending) == 0 {
		s.pushReceipt(receipt)
		return
	}
	s.receipts.pending = append(s.receipts.pending, &pendingReceipt{receipt: strings.Clone(receipt), done: true})
}

func (s *Session) pushReceipt(id string) {
	s.pushFrame(frames.New(frames.RECEIPT, frames.ReceiptID, id))
}

// expect takes a place in the line for a frame whose outcome is not known yet.
// It waits while too many are open, which keeps the session from being read.
func (l *receiptQueue) reserve(receipt string, bytes int) *pendingReceipt {
	a := &pendingReceipt{queue: l, receipt: strings.Clone(receipt), bytes: bytes}
	most := l.session.broker.defaults.MaxUnconfirmed
	l.mu.Lock()
	for len(l.pending) > 0 && (len(l.pending) >= most || l.bytes+bytes > maxUnconfirmedBytes) {
		if l.notFull == nil {
			l.notFull = sync.NewCond(&l.mu)
		}
		l.notFull.Wait()
	}
	l.pending = append(l.pending, a)
	l.bytes += bytes
	l.mu.Unlock()
	return a
}

// resolve notes how the frame went. It is safe for concurrent use.
func (a *pendingReceipt) complete(err error) {
	l := a.queue
	l.mu.Lock()
	a.done, a.err = true, err
	failed := l.advanceLocked()
	if l.notFull != nil {
		l.notFull.Broadcast()
	}
	l.mu.Unlock()
	if failed != nil {
		l.session.failPending(failed)
	}
}

// advance answers what is done at the head of the line. It returns the first
// that failed, which ends the session. The caller holds the lock.
func (l *receiptQueue) advanceLocked() (failed *pendingReceipt) {
	n := 0
	for n < len(l.pending) && l.pending[n].done && failed == nil {
		a := l.pending[n]
		n++
		l.bytes -= a.bytes
		switch {
		case a.err != nil:
			failed = a
		case a.then != nil:
			a.then()
		case a.receipt != "":
			l.session.pushReceipt(a.receipt)
		}
	}
	clear(l.pending[:n])
	if l.pending = l.pending[n:]; len(l.pending) == 0 {
		l.pending = nil
	}
	return failed
}

// whenDone does something when all frames before have their answers.
func (l *receiptQueue) afterPending(then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		then()
		return
	}
	l.pending = append(l.pending, &pendingReceipt{queue: l, then: then, done: true})
}

// failLater ends the session for a frame that failed after it was read.
func (s *Session) failPending(a *pendingReceipt) {
	e := *protocolError(a.err)
	if e.receipt = a.receipt; e.receipt == "" {
		e.receipt = a.about
	}
	s.endWith(&e, CloseRetry)
}
