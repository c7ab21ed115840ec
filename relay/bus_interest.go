package relay

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// interest is a routing pattern that this node has subscribers for. Messages of
// histories pass through it in the order of their streams, each once: NATS may
// drop some on a link that is slow or cut, and a leader that dies may have published
// some to no node. Those are fetched from the history first; until then what comes
// after them is held, for this interest alone.
type interest struct {
	past    past
	pattern destination.Pattern
	wild    bool // the pattern has wildcards
	deliver func(*driver.Message)
	since   int64         // milliseconds since 1970; older messages are for none of its subscribers
	ended   chan struct{} // closed with the interest

	mu     sync.Mutex           // held while messages of histories are delivered; guards the following
	epochs map[string]*progress // nil until a message of a history comes
}

func newInterest(p past, pattern destination.Pattern, since int64, deliver func(*driver.Message)) *interest {
	return &interest{
		past: p, pattern: pattern, wild: destination.HasWildcard(pattern.String()), deliver: deliver, since: since,
		ended: make(chan struct{}),
	}
}

// progress is how far an interest is in one stream of a history. What a pattern has seen
// is judged by the stream, and not by destination: the place of a subscriber is one
// number, and no message goes out before those below it that match.
type progress struct {
	delivered uint64 // the last message
	baseline  uint64 // subscribers of that time have everything up to it
	first     uint64 // the first message, where it was delivered while nothing was known
	before    uint64 // the sequence that came before that on its destination
	filling   bool   // what comes is held, and fetched where it is too much to hold
	target    uint64 // what is to be fetched up to
	held      []heldMessage
	heldBytes int
	unheld    int // messages that arrived and were too much to hold
}

type heldMessage struct {
	message *driver.Message
	before  uint64 // the sequence that came before it on its destination
}

const (
	// maxHeld and maxHeldBytes bound what an interest holds while it fetches. What is
	// beyond is fetched too.
	maxHeld      = 256
	maxHeldBytes = 1 << 20
)

// reached returns the place up to which nothing is missing, or 0 where that is unknown.
func (p *progress) reached() uint64 { return max(p.delivered, p.baseline) }

// beginAt notes the first message where nothing is known of what was before it.
func (p *progress) beginAt(seq, before uint64) {
	if p.reached() == 0 {
		p.first, p.before = seq, before
	}
}

// follows reports whether nothing that matches can be missing before a live message.
func (p *progress) follows(wild bool, seq, before uint64) bool {
	switch last := p.reached(); {
	case last == 0 || seq <= last:
		return true // the latter may still be on its way to some subscribers
	case wild:
		return seq == last+1
	default:
		return before <= last
	}
}

func (p *progress) hold(m *driver.Message, before uint64) {
	p.target = max(p.target, m.Position.Seq)
	if len(p.held) < maxHeld && p.heldBytes+len(m.Body) <= maxHeldBytes {
		p.held, p.heldBytes = append(p.held, heldMessage{m, before}), p.heldBytes+len(m.Body)
	} else {
		p.unheld++
	}
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
	if !i.pattern.Match(m.Key) {
		return // NATS's pattern is wider
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.acceptLocked(m, before)
}

// acceptLocked delivers a message now where it may be, or once those before it were
// fetched. It reports whether it was new.
func (i *interest) acceptLocked(m *driver.Message, before uint64) bool {
	p := i.progressLocked(m.Position.Epoch)
	switch seq := m.Position.Seq; {
	case seq <= p.delivered:
		return false // it was fetched meanwhile
	case p.filling:
		p.hold(m, before)
	case p.follows(i.wild, seq, before):
		p.beginAt(seq, before)
		i.deliverLocked(p, m)
	default:
		p.hold(m, before)
		i.startFillingLocked(p, m)
	}
	return true
}

func (i *interest) startFillingLocked(p *progress, m *driver.Message) {
	p.filling = i.past.backfill(i, m)
	if p.filling {
		return
	}
	for _, held := range p.held { // there is no such history any more
		i.deliverLocked(p, held.message.AfterGap())
	}
	p.held, p.heldBytes = nil, 0
}

// fillToLocked has all up to a message fetched, and that itself. It is not held, since it is
// not known what came before it on its destination, and so whether some of that is gone.
func (i *interest) fillToLocked(p *progress, m *driver.Message) {
	p.target = max(p.target, m.Position.Seq)
	if p.filling {
		return
	}
	if p.filling = i.past.backfill(i, m); !p.filling {
		i.deliverLocked(p, m.AfterGap()) // there is no such history any more
	}
}

func (i *interest) progressLocked(epoch string) *progress {
	p := i.epochs[epoch]
	if p == nil {
		p = new(progress)
		if i.epochs == nil {
			i.epochs = make(map[string]*progress)
		}
		i.epochs[epoch] = p
	}
	return p
}

// deliverLocked delivers a message of a history and remembers its place.
func (i *interest) deliverLocked(p *progress, m *driver.Message) {
	p.delivered = max(p.delivered, m.Position.Seq)
	i.deliver(m)
}

// missed takes a message that was read since it may not have arrived live, and reports
// whether that was so. It asks trimmed whether messages between the last one that was
// delivered and this one are gone.
func (i *interest) missed(m *driver.Message, trimmed func(last uint64) bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.progressLocked(m.Position.Epoch)
	// A replay that a server answered which had been cut off ends early: what comes after
	// it is for its subscriber, however old it is.
	replayed := p.baseline > 0 && m.Position.Seq > p.baseline
	switch {
	case !i.pattern.Match(m.Key) || m.Position.Seq <= p.delivered:
		return false
	case p.delivered == 0 && !replayed && m.Timestamp < i.since:
		return false // from before all of its subscribers
	case p.filling || (i.wild && p.delivered > 0 || p.delivered == 0 && replayed) && m.Position.Seq != p.reached()+1:
		i.fillToLocked(p, m)
		return true
	case m.Position.Seq != p.reached()+1 && trimmed(p.delivered):
		m = m.AfterGap()
	}
	p.beginAt(m.Position.Seq, m.Position.Seq-1)
	i.deliverLocked(p, m)
	return true
}

// join reports whether nothing is missing between a replay that went up to a sequence and
// what its subscriber got live. Where the interest has seen nothing of the stream yet, it
// notes that nothing is missing up to there.
func (i *interest) join(epoch string, upTo uint64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.progressLocked(epoch)
	switch {
	case p.reached() == 0:
		p.baseline = upTo
		return true
	case i.wild:
		return p.first <= upTo+1
	default:
		return p.before <= upTo
	}
}

// reached returns up to where each epoch has been seen.
func (i *interest) reached() map[string]uint64 {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	places := make(map[string]uint64, len(i.epochs))
	for epoch, p := range i.epochs {
		places[epoch] = p.reached()
	}
	return places
}
