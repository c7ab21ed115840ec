package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
)

// A client that does not know what became of its SENDs repeats them with their dedup-ids. If
// some of those behind the one that failed were stored, their repetitions are dropped, and
// the one that failed comes after them. So a SEND with a dedup-id waits until those before
// it to the same destination are stored, and what follows one that failed is refused. What
// waits meanwhile is stored together.

const (
	// maxLaneBatch is how many messages are stored together.
	maxLaneBatch = 1000
	// maxLanes is after how many destinations a session forgets those that are idle.
	maxLanes = 64
)

// laneKey is of what a session has stored in order: one destination, on disk, in memory
// or in a history.
type laneKey struct {
	destination string
	memory      bool
}

// lane has the messages of a session to one destination stored one after the other.
type lane struct {
	broker *Broker

	mu      sync.Mutex // guards the following
	busy    bool
	idle    chan struct{} // closed when it is not busy any more; nil where nothing waits for that
	failed  error
	waiting []laneItem
}

type laneItem struct {
	op   operation
	done func(error)
}

// store carries out the operation of a message for the store.
func (s *Session) store(op operation, done func(error)) {
	key := laneKey{op.store.Message.Key, op.store.Options.Queue.Memory}
	l := s.lanes[key]
	if l == nil {
		if op.store.Options.DedupID == "" {
			op.runAsync(done)
			return
		}
		l = &lane{broker: s.broker}
		if s.lanes == nil {
			s.lanes = make(map[laneKey]*lane)
		}
		if len(s.lanes) >= maxLanes {
			for other, idle := range s.lanes {
				if idle.isIdle() {
					delete(s.lanes, other)
				}
			}
		}
		s.lanes[key] = l
	}
	l.add(laneItem{op, done})
}

// awaitLanes returns when nothing waits to be stored any more, before a COMMIT stores its
// own; or with why something was not.
func (s *Session) awaitLanes() error {
	for _, l := range s.lanes {
		l.mu.Lock()
		var idle chan struct{}
		if l.busy {
			if l.idle == nil {
				l.idle = make(chan struct{})
			}
			idle = l.idle
		}
		l.mu.Unlock()
		if idle != nil {
			<-idle // the store answers, or it is too late
		}
		if err := l.failure(); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *lane) isIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.busy && l.failed == nil
}

func (l *lane) add(item laneItem) {
	l.mu.Lock()
	switch {
	case l.failed != nil:
		err := l.failed
		l.mu.Unlock()
		item.done(err)
	case l.busy:
		l.waiting = append(l.waiting, item)
		l.mu.Unlock()
	case item.op.store.Options.DedupID == "":
		l.mu.Unlock()
		item.op.runAsync(item.done) // nothing is before it
	default:
		l.busy = true
		l.mu.Unlock()
		item.op.runAsync(func(err error) {
			item.done(err)
			if l.settle(err) {
				go l.run()
			}
		})
	}
}

// settle notes what became of all that was under way, and reports whether more waits.
func (l *lane) settle(err error) (more bool) {
	l.mu.Lock()
	var refused []laneItem
	if err != nil {
		l.failed = err
		refused, l.waiting = l.waiting, nil
	}
	if more = len(l.waiting) > 0; !more {
		l.busy = false
		if l.idle != nil {
			close(l.idle)
			l.idle = nil
		}
	}
	l.mu.Unlock()
	for _, item := range refused {
		item.done(err)
	}
	return more
}

// run stores what waits until nothing does.
func (l *lane) run() {
	for {
		l.mu.Lock()
		n := min(len(l.waiting), maxLaneBatch)
		batch := l.waiting[:n:n]
		l.waiting = l.waiting[n:]
		l.mu.Unlock()
		if !l.settle(l.storeAll(batch)) {
			return
		}
	}
}

// storeAll stores messages together, or where they are refused together one by one, and
// answers all. It returns the first error.
func (l *lane) storeAll(batch []laneItem) error {
	if len(batch) > 1 {
		all := make([]driver.StoreRequest, len(batch))
		for i, item := range batch {
			all[i] = *item.op.store
		}
		ctx, cancel := context.WithTimeout(l.broker.ctx, storeTimeout)
		began := l.broker.clock.now()
		store := l.broker.step("nats store", trace.Client, all[0].Message)
		store.count("messages", len(all))
		err := l.broker.store.StoreAll(ctx, all)
		store.end(err)
		l.broker.counters.storeLatency.Observe(time.Duration(l.broker.clock.now() - began))
		cancel()
		if err == nil || errors.Is(err, driver.ErrUnavailable) {
			var failed error
			for _, item := range batch {
				failed = item.op.outcome(err)
				item.done(failed)
			}
			return failed
		}
	}
	for i, item := range batch {
		answer := make(chan error, 1)
		item.op.runAsync(func(err error) { answer <- err })
		err := <-answer
		item.done(err)
		if err != nil {
			for _, refused := range batch[i+1:] {
				refused.done(err)
			}
			return err
		}
	}
	return nil
}
