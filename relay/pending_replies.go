package relay

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pendingReplies match answers of the server to what waits for them. All answers arrive
// on one inbox, so that hundreds can be under way at the cost of a map entry each.
type pendingReplies[T any] struct {
	inbox string // with a dot at its end

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]pendingReply[T]
}

type pendingReply[T any] struct {
	value T
	since time.Time
}

// begin has answered called with what arrives.
func (p *pendingReplies[T]) begin(conn *nats.Conn, answered func(id uint64, msg *nats.Msg)) error {
	p.inbox, p.waiting = nats.NewInbox()+".", make(map[uint64]pendingReply[T])
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
func (p *pendingReplies[T]) expect(value T) (reply string, id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id = p.next
	p.next++
	p.waiting[id] = pendingReply[T]{value, time.Now()}
	return p.inbox + strconv.FormatUint(id, 36), id
}

// take returns what waits for an answer, once.
func (p *pendingReplies[T]) take(id uint64) (value T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.waiting[id]
	delete(p.waiting, id)
	return r.value, ok
}

// takeOld returns all that has waited since before a time, once.
func (p *pendingReplies[T]) takeOld(before time.Time) []T {
	return p.takeIf(func(_ T, since time.Time) bool { return since.Before(before) })
}

// takeIf returns what it is true of, once.
func (p *pendingReplies[T]) takeIf(is func(value T, since time.Time) bool) (taken []T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.waiting {
		if is(r.value, r.since) {
			taken = append(taken, r.value)
			delete(p.waiting, id)
		}
	}
	return taken
}
