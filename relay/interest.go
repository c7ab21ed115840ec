package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// mostSeen bounds of how many destinations an interest remembers where it is.
const mostSeen = 100_000

// interest is a routing pattern that this node has subscribers for. Messages of
// histories pass through it in the order of their streams, each once: NATS may
// drop some on a link that is slow or cut, and each says which one came before it
// on its destination, so that those are fetched from the history first.
type interest struct {
	relay   *Relay
	pattern destination.Pattern
	deliver func(*driver.Message)
	subs    []*nats.Subscription

	mu    sync.Mutex // held while messages of histories are delivered
	seen  map[string]driver.StreamPosition
	floor map[string]uint64 // by epoch: who came then has everything up to it
	since int64             // milliseconds since 1970; what is older is nobody's
}

// Subscribe declares interest in a routing pattern.
func (r *Relay) Subscribe(pattern string, deliver func(*driver.Message)) (func(), error) {
	if err := checkKey(pattern); err != nil {
		return nil, err
	}
	parsed, err := destination.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	i := &interest{relay: r, pattern: parsed, deliver: deliver, since: time.Now().UnixMilli()}
	for _, subject := range PatternSubjects(r.prefix, pattern) {
		sub, err := r.lanes.subscribe(r.conn, subject, i)
		if err != nil {
			i.end()
			return nil, err
		}
		i.subs = append(i.subs, sub)
	}
	if r.mayKeep(parsed) {
		r.interestsMu.Lock()
		r.interests[pattern] = i
		r.interestsMu.Unlock()
	}
	return i.end, nil
}

// end is safe to call while a message is being delivered.
func (i *interest) end() {
	for _, sub := range i.subs {
		i.relay.lanes.unsubscribe(sub)
	}
	r := i.relay
	r.interestsMu.Lock()
	if r.interests[i.pattern.String()] == i {
		delete(r.interests, i.pattern.String())
	}
	r.interestsMu.Unlock()
}

// mayKeep reports whether a history keeps something of a pattern.
func (r *Relay) mayKeep(p destination.Pattern) bool {
	for _, h := range r.histories {
		if h.policy.Match.Overlaps(p) {
			return true
		}
	}
	return false
}

// arrived takes a live message.
func (i *interest) arrived(msg *nats.Msg) {
	m, before, ok := i.relay.decodeLive(msg)
	if !ok {
		return
	}
	if m.Position.Seq == 0 {
		i.deliver(m)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	last, seen := i.lastSeen(m)
	if seen && m.Position.Seq <= last {
		return // it was fetched meanwhile
	}
	if !seen {
		// What came up to the floor may still be on its way to some subscribers.
		last, seen = i.floor[m.Position.Epoch]
	}
	if seen && before > last {
		i.fill(m, last, before)
	}
	i.pass(m)
}

// lastSeen returns the place of the destination's last message that was delivered.
func (i *interest) lastSeen(m *driver.Message) (seq uint64, ok bool) {
	at, ok := i.seen[m.Key]
	if !ok || at.Epoch != m.Position.Epoch {
		return 0, false
	}
	return at.Seq, true
}

// pass delivers a message and remembers its place. The caller holds the lock.
func (i *interest) pass(m *driver.Message) {
	if len(i.seen) >= mostSeen {
		i.seen, i.floor = nil, nil // gaps are not noticed until each was seen again
	}
	if i.seen == nil {
		i.seen = make(map[string]driver.StreamPosition)
	}
	i.seen[m.Key] = m.Position
	i.deliver(m)
}

const (
	// fillTimeout is how long a history may take to answer: a node that was cut off
	// has its links back some seconds before it knows who leads.
	fillTimeout = 10 * time.Second
	fillRetry   = 250 * time.Millisecond
)

// fill delivers the messages of one destination in (last, before] that did not
// arrive, and notes it on next where the history does not give them. The caller holds
// the lock, so that what comes after them waits.
func (i *interest) fill(next *driver.Message, last, before uint64) {
	r := i.relay
	ctx, cancel := context.WithTimeout(r.ctx, fillTimeout)
	defer cancel()
	h, stream := r.historyOfEpoch(next.Position.Epoch)
	if h == nil {
		return
	}
	p := &past{relay: r, stream: stream, subject: Subject(h.prefix, next.Key), next: last + 1, upTo: before}
	reached, n := last, 0
	take := func(one *pastMessage) error {
		if m, _, ok := r.decodeStored(one.msg); ok {
			m.Gap = n == 0 && p.relay.trimmedSince(ctx, h, stream, m, last)
			i.pass(m)
			reached = m.Position.Seq
			n++
		}
		return nil
	}
	err := merge(ctx, []*past{p}, take)
	for errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil {
		time.Sleep(fillRetry)
		err = merge(ctx, []*past{p}, take)
	}
	r.filled.Add(int64(n))
	if err != nil || reached < before {
		next.Gap = true
	}
	r.log.Info("messages that did not arrive were fetched from the history", "destination", next.Key, "messages", n, "complete", !next.Gap, "error", err)
}

// trimmedSince reports whether messages between last and m may have been dropped.
func (r *Relay) trimmedSince(ctx context.Context, h *history, stream string, m *driver.Message, last uint64) bool {
	p := &pass{relay: r, history: h, stream: stream, epoch: m.Position.Epoch, after: driver.StreamPosition{Epoch: m.Position.Epoch, Seq: last}}
	return p.checkTrimmed(ctx, m) != nil || p.gap
}

// rebase notes, for an interest that has seen nothing of a history yet, up to
// where nothing is missing: a subscriber was given the past up to there.
func (r *Relay) rebase(pattern destination.Pattern, epoch string, seq uint64) {
	r.interestsMu.Lock()
	i := r.interests[pattern.String()]
	r.interestsMu.Unlock()
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.floor == nil {
		i.floor = make(map[string]uint64, 1)
	}
	if _, ok := i.floor[epoch]; !ok && len(i.seen) == 0 {
		i.floor[epoch] = seq
	}
}

// historyOfEpoch returns the history whose stream has an epoch, and the stream's name.
func (r *Relay) historyOfEpoch(epoch string) (*history, string) {
	for _, h := range r.histories {
		name := h.base + "_" + epoch
		h.mu.Lock()
		found := h.stream == "" || h.stream == name
		h.mu.Unlock()
		if found {
			return h, name
		}
	}
	return nil, ""
}
