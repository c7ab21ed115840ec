package relay

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

const (
	// pendingMessages and pendingBytes bound what waits between NATS and the
	// router for one subscription of requests or of a transient queue.
	pendingMessages = 65536
	pendingBytes    = 64 << 20
)

// bus is a [driver.Bus]: what is published on this node goes to the others, and what
// the others publish comes to the interests of this one.
type bus struct {
	link    *link
	members *members
	replies *externalRequests
	past    past
	workers *workers

	mu        sync.Mutex           // guards the following
	interests map[string]*interest // those that a history keeps something of, by pattern
}

// past is what an interest has to know of histories.
type past interface {
	// keeps reports whether a history keeps something of a pattern.
	keeps(p destination.Pattern) bool
	// decodeLive makes the message of a NATS message, and returns for one of a history
	// which sequence came before it on its destination.
	decodeLive(msg *nats.Msg) (m *driver.Message, before uint64, ok bool)
	// backfill has what an interest misses before a message fetched in the background, and
	// reports false where there is no such stream. The caller holds the lock of the
	// interest.
	backfill(i *interest, m *driver.Message) bool
}

func newBus(l *link, m *members, replies *externalRequests) *bus {
	return &bus{link: l, members: m, replies: replies, workers: newWorkers(), interests: make(map[string]*interest)}
}

// Publish hands a message to the other nodes with an interest in it, and does not
// wait for the link to them. It fails when the server is out of reach, or the link
// is so slow that too much waits already: nothing is kept for later.
func (b *bus) Publish(m *driver.Message) error {
	if err := checkKey(m.Key); err != nil {
		return err
	}
	if b.link.private() {
		return nil // no other process can reach the server
	}
	if b.link.state() == disconnected {
		return nats.ErrDisconnected
	}
	if b.replies.answer(m) {
		return nil
	}
	return b.link.writer.push(encode(b.link.prefix, m))
}

// Subscribe declares interest in a routing pattern.
func (b *bus) Subscribe(pattern string, deliver func(*driver.Message)) (func(), error) {
	if err := checkKey(pattern); err != nil {
		return nil, err
	}
	parsed, err := destination.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	kept := b.past.keeps(parsed)
	if b.link.private() && !kept {
		return func() {}, nil // no other process publishes
	}
	i := newInterest(b.past, parsed, time.Now().UnixMilli(), deliver)
	var subs []*nats.Subscription
	end := sync.OnceFunc(func() { b.unsubscribe(i, subs) })
	for _, subject := range PatternSubjects(b.link.prefix, pattern) {
		sub, err := b.workers.subscribe(b.link.conn, subject, i)
		if err != nil {
			end()
			return nil, err
		}
		subs = append(subs, sub)
	}
	if kept {
		b.mu.Lock()
		b.interests[pattern] = i
		b.mu.Unlock()
	}
	return end, nil
}

// unsubscribe is safe to call while a message is being delivered.
func (b *bus) unsubscribe(i *interest, subs []*nats.Subscription) {
	for _, sub := range subs {
		b.workers.unsubscribe(sub)
	}
	close(i.ended)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.interests[i.pattern.String()] == i {
		delete(b.interests, i.pattern.String())
	}
}

// interestIn returns the interest in a pattern that a history keeps something of, or nil.
func (b *bus) interestIn(pattern destination.Pattern) *interest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.interests[pattern.String()]
}

// interestsIn returns the interests that overlap with a pattern: those of single
// destinations, and those with wildcards.
func (b *bus) interestsIn(pattern destination.Pattern) (exact map[string]*interest, wild []*interest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	exact = make(map[string]*interest)
	for text, i := range b.interests {
		switch {
		case !pattern.Overlaps(i.pattern):
		case destination.HasWildcard(text):
			wild = append(wild, i)
		default:
			exact[text] = i
		}
	}
	return exact, wild[:len(wild):len(wild)]
}

// oldestInterest returns since when there is an interest in a pattern, or the zero
// time where there is none.
func (b *bus) oldestInterest(pattern destination.Pattern) (oldest time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.interests {
		if since := time.UnixMilli(i.since); pattern.Overlaps(i.pattern) && (oldest.IsZero() || since.Before(oldest)) {
			oldest = since
		}
	}
	return oldest
}

// Flush returns when the server has taken all before it, and so have the servers
// of the other nodes, or with ctx's error.
// While the server is out of reach it returns nil at once: interests are
// declared again before anything else when it is back. So it does where no other process
// can reach the server: what this one publishes comes after its interests.
func (b *bus) Flush(ctx context.Context) error {
	if b.link.private() || !b.link.conn.IsConnected() {
		return nil
	}
	if err := b.link.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	return b.members.flush(ctx)
}
