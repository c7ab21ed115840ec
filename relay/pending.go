package relay

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pending matches answers of the server to what waits for them. All answers arrive
// on one inbox, so that hundreds can be under way at the cost of a map entry each.
type pending[T any] struct {
	inbox string // with a dot at its end

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]pendingOne[T]
}

type pendingOne[T any] struct {
	value T
	since time.Time
}

// begin has answered called with what arrives.
func (p *pending[T]) begin(conn *nats.Conn, answered func(id uint64, msg *nats.Msg)) error {
	p.inbox, p.waiting = nats.NewInbox()+".", make(map[uint64]pendingOne[T])
	sub, err := conn.Subscribe(p.inbox+"*", func(msg *nats.Msg) {
		if id, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, p.inbox), 36, 64); err == nil {
			answered(id, msg)
		}
	})
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, -1) // what waits for answers bounds it
}

// expect returns the reply subject for what value waits for.
func (p *pending[T]) expect(value T) (reply string, id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id = p.next
	p.next++
	p.waiting[id] = pendingOne[T]{value, time.Now()}
	return p.inbox + strconv.FormatUint(id, 36), id
}

// take returns what waits for an answer, once.
func (p *pending[T]) take(id uint64) (value T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.waiting[id]
	delete(p.waiting, id)
	return one.value, ok
}

// takeOld returns all that has waited since before a time, once.
func (p *pending[T]) takeOld(before time.Time) (old []T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, one := range p.waiting {
		if one.since.Before(before) {
			old = append(old, one.value)
			delete(p.waiting, id)
		}
	}
	return old
}
