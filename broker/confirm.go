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
const mostUnconfirmedBytes = 8 << 20

// line keeps answers in the order of their frames, while some of them wait for
// the store. RECEIPTs are so many in flight, and still in order.
type line struct {
	session *Session
	mu      sync.Mutex
	waiting []*answer
	bytes   int
	room    *sync.Cond // where the reader waits for others' answers
}

// answer is what becomes of one frame.
type answer struct {
	line    *line
	receipt string // "" wants none
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
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	if len(s.line.waiting) == 0 {
		s.pushReceipt(receipt)
		return
	}
	s.line.waiting = append(s.line.waiting, &answer{receipt: strings.Clone(receipt), done: true})
}

func (s *Session) pushReceipt(id string) {
	s.pushFrame(frames.New(frames.RECEIPT, frames.ReceiptID, id))
}

// expect takes a place in the line for a frame whose outcome is not known yet.
// It waits while too many are open, which keeps the session from being read.
func (l *line) expect(receipt string, bytes int) *answer {
	a := &answer{line: l, receipt: strings.Clone(receipt), bytes: bytes}
	most := l.session.broker.defaults.MaxUnconfirmed
	l.mu.Lock()
	for len(l.waiting) > 0 && (len(l.waiting) >= most || l.bytes+bytes > mostUnconfirmedBytes) {
		if l.room == nil {
			l.room = sync.NewCond(&l.mu)
		}
		l.room.Wait()
	}
	l.waiting = append(l.waiting, a)
	l.bytes += bytes
	l.mu.Unlock()
	return a
}

// resolve notes how the frame went. It is safe for concurrent use.
func (a *answer) resolve(err error) {
	l := a.line
	l.mu.Lock()
	a.done, a.err = true, err
	failed := l.advance()
	if l.room != nil {
		l.room.Broadcast()
	}
	l.mu.Unlock()
	if failed != nil {
		l.session.failLater(failed)
	}
}

// advance answers what is done at the head of the line. It returns the first
// that failed, which ends the session. The caller holds the lock.
func (l *line) advance() (failed *answer) {
	n := 0
	for n < len(l.waiting) && l.waiting[n].done && failed == nil {
		a := l.waiting[n]
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
	clear(l.waiting[:n])
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
	return failed
}

// whenDone does something when all frames before have their answers.
func (l *line) whenDone(then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		then()
		return
	}
	l.waiting = append(l.waiting, &answer{line: l, then: then, done: true})
}

// failLater ends the session for a frame that failed after it was read.
func (s *Session) failLater(a *answer) {
	e := *protocolError(a.err)
	e.receipt = a.receipt
	s.endWith(&e, CloseRetry)
}
