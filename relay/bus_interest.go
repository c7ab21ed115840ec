package relay

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// maxSeen bounds of how many destinations an interest remembers where it is.
const maxSeen = 100_000

// interest is a routing pattern that this node has subscribers for. Messages of
// histories pass through it in the order of their streams, each once: NATS may
// drop some on a link that is slow or cut, and each says which one came before it
// on its destination, so that those are fetched from the history first.
type interest struct {
	past    past
	pattern destination.Pattern
	deliver func(*driver.Message)
	since   int64 // milliseconds since 1970; older messages are for none of its subscribers

	mu       sync.Mutex // held while messages of histories are delivered; guards the following
	seen     map[string]driver.StreamPosition
	baseline map[string]uint64 // by epoch: subscribers of that time have everything up to it
}

// arrived takes a live message.
func (i *interest) arrived(msg *nats.Msg) {
	m, before, ok := i.past.decodeLive(msg)
	if !ok {
		return
	}
	if m.Position.Seq == 0 {
		i.deliver(m)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	last, seen := i.lastSeenLocked(m)
	if seen && m.Position.Seq <= last {
		return // it was fetched meanwhile
	}
	if !seen {
		// What came up to the baseline may still be on its way to some subscribers.
		last, seen = i.baseline[m.Position.Epoch]
	}
	if seen && before > last {
		i.past.backfill(i, m, last, before)
	}
	i.deliverLocked(m)
}

// lastSeenLocked returns the place of the destination's last message that was delivered.
func (i *interest) lastSeenLocked(m *driver.Message) (seq uint64, ok bool) {
	at, ok := i.seen[m.Key]
	if !ok || at.Epoch != m.Position.Epoch {
		return 0, false
	}
	return at.Seq, true
}

// deliverLocked delivers a message of a history and remembers its place.
func (i *interest) deliverLocked(m *driver.Message) {
	if len(i.seen) >= maxSeen {
		i.seen, i.baseline = nil, nil // gaps are not noticed until each was seen again
	}
	if i.seen == nil {
		i.seen = make(map[string]driver.StreamPosition)
	}
	i.seen[m.Key] = m.Position
	i.deliver(m)
}

// missed delivers a message that did not arrive live, and reports whether that was so.
// It asks trimmed whether messages between the last one of the destination and this
// one are gone.
func (i *interest) missed(m *driver.Message, trimmed func(last uint64) bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, seen := i.lastSeenLocked(m)
	if !i.pattern.Match(m.Key) || m.Position.Seq <= last || (!seen && m.Timestamp < i.since) {
		return false
	}
	if trimmed(last) {
		m = m.AfterGap()
	}
	i.deliverLocked(m)
	return true
}

// setBaseline notes, for an interest that has seen nothing of a history yet, up to
// where nothing is missing: a subscriber was given the past up to there.
func (i *interest) setBaseline(epoch string, seq uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.baseline == nil {
		i.baseline = make(map[string]uint64, 1)
	}
	if _, ok := i.baseline[epoch]; !ok && len(i.seen) == 0 {
		i.baseline[epoch] = seq
	}
}
