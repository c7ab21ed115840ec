package relay

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// checkpoints say up to where a history's live messages have surely arrived: a
// place that the stream had reached while nothing was wrong, some seconds ago.
// The janitor alone uses them.
type checkpoints struct {
	stream string
	leader string // and since when
	sure   uint64
	recent uint64
}

// suspect has the janitor look for messages that were missed: the connection or a
// link between servers was away, or this node was too slow.
func (r *Relay) suspect() { r.suspected.Store(true) }

// checkHistories is called by the janitor now and then. It notes how far the
// histories are, or fetches what was missed.
func (r *Relay) checkHistories(ctx context.Context) {
	suspected := r.suspected.Swap(false)
	for _, h := range r.histories {
		if !r.anyInterest(h) {
			h.checks = checkpoints{}
			_, _ = r.streamOf(ctx, h) // made before the first message; else with that
			continue
		}
		stream, info, err := r.lookAt(ctx, h)
		if err != nil {
			if suspected {
				r.suspect() // later
			}
			continue
		}
		c, state, leader := &h.checks, info.State, leaderOf(info)
		look := suspected || c.leader != "" && c.leader != leader
		p := &past{relay: r, stream: stream, subject: h.prefix + ".>", upTo: state.LastSeq}
		switch {
		case c.stream == stream && look:
			p.next = c.sure + 1
		case c.stream == stream:
			c.sure, c.recent, c.leader = c.recent, state.LastSeq, leader
			continue
		case c.stream != "": // it was made anew, and all of it is new
			p.next = 1
		case look: // before anything was noted
			since := r.oldestInterest(h).Add(-clocksDiffer)
			p.since = &since
		}
		if (p.next > 0 || p.since != nil) && !r.heal(ctx, h, p, state.FirstSeq) {
			r.suspect()
			continue
		}
		*c = checkpoints{stream: stream, leader: leader, sure: state.LastSeq, recent: state.LastSeq}
	}
}

// leaderOf says who leads a stream, and since when. What is stored while that changes
// may be published to nobody: only a leader publishes.
func leaderOf(info *jetstream.StreamInfo) string {
	c := info.Cluster
	switch {
	case c == nil:
		return ""
	case c.LeaderSince == nil:
		return c.Leader
	}
	return c.Leader + " " + c.LeaderSince.Format(time.RFC3339Nano)
}

// clocksDiffer is how far the clocks of servers may be apart.
const clocksDiffer = time.Minute

func (r *Relay) anyInterest(h *history) bool { return !r.oldestInterest(h).IsZero() }

// oldestInterest returns since when there is an interest in a history, or the zero
// time where there is none.
func (r *Relay) oldestInterest(h *history) (oldest time.Time) {
	r.interestsMu.Lock()
	defer r.interestsMu.Unlock()
	for _, i := range r.interests {
		if since := time.UnixMilli(i.since); h.policy.Match.Overlaps(i.pattern) && (oldest.IsZero() || since.Before(oldest)) {
			oldest = since
		}
	}
	return oldest
}

// heal delivers what of the past did not arrive, and reports whether it could read
// all of it. The stream begins at first.
func (r *Relay) heal(ctx context.Context, h *history, p *past, first uint64) bool {
	start := time.Now()
	trims := trims{relay: r, history: h, stream: p.stream, sure: p.next - 1, first: first, unknown: p.since != nil}
	exact, wild := r.interestsByKind(h)
	found, read := 0, 0
	err := merge(ctx, []*past{p}, func(one *pastMessage) error {
		m, _, ok := r.decodeStored(one.msg)
		if !ok {
			return nil
		}
		read++
		for _, i := range append(wild, exact[m.Key]) {
			if i != nil && i.missed(ctx, m, &trims) {
				found++
			}
		}
		return nil
	})
	r.filled.Add(int64(found))
	r.log.Info("looked for messages that were missed", "history", h.policy.Name, "found", found, "read", read, "took", time.Since(start).Round(time.Millisecond), "error", err)
	return err == nil
}

func (r *Relay) interestsByKind(h *history) (exact map[string]*interest, wild []*interest) {
	r.interestsMu.Lock()
	defer r.interestsMu.Unlock()
	exact = make(map[string]*interest)
	for text, i := range r.interests {
		switch {
		case !h.policy.Match.Overlaps(i.pattern):
		case destination.HasWildcard(text):
			wild = append(wild, i)
		default:
			exact[text] = i
		}
	}
	return exact, wild[:len(wild):len(wild)]
}

// missed delivers a message that did not arrive live, and reports whether that was so.
func (i *interest) missed(ctx context.Context, m *driver.Message, t *trims) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, seen := i.lastSeen(m)
	if !i.pattern.Match(m.Key) || m.Position.Seq <= last || (!seen && m.Timestamp < i.since) {
		return false
	}
	if t.before(ctx, i, m, last) {
		noted := *m // others have it too
		noted.Gap = true
		m = &noted
	}
	i.pass(m)
	return true
}

// trims find out what of the messages that an interest missed is gone from the
// history, for one reading of it.
type trims struct {
	relay   *Relay
	history *history
	stream  string
	sure    uint64 // all up to it arrived
	first   uint64 // where the stream began
	unknown bool   // nothing is known of what arrived
	met     map[metDestination]struct{}
}

type metDestination struct {
	interest *interest
	key      string
}

// before reports, at the first message of a destination that an interest missed,
// whether ones before it and after last are gone.
func (t *trims) before(ctx context.Context, i *interest, m *driver.Message, last uint64) bool {
	at := metDestination{i, m.Key}
	if _, met := t.met[at]; met || t.unknown {
		return false
	}
	if t.met == nil {
		t.met = make(map[metDestination]struct{})
	}
	t.met[at] = struct{}{}
	last = max(last, t.sure)
	return t.first > last+1 || t.relay.trimmedSince(ctx, t.history, t.stream, m, last)
}
