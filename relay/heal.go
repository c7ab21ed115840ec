package relay

import (
	"context"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
)

// checkpoints say up to where a history's live messages have surely arrived: a
// place that the stream had reached while nothing was wrong, some seconds ago.
// The janitor alone uses them.
type checkpoints struct {
	stream string
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
		stream, state, err := r.stateOf(ctx, h)
		if err != nil {
			if suspected {
				r.suspect() // later
			}
			continue
		}
		c := &h.checks
		p := &past{relay: r, stream: stream, subject: h.prefix + ".>", upTo: state.LastSeq}
		switch {
		case c.stream == stream && suspected:
			p.next = c.sure + 1
		case c.stream == stream:
			c.sure, c.recent = c.recent, state.LastSeq
			continue
		case c.stream != "": // it was made anew, and all of it is new
			p.next = 1
		case suspected: // before anything was noted
			since := r.oldestInterest(h).Add(-clocksDiffer)
			p.since = &since
		}
		if (p.next > 0 || p.since != nil) && !r.heal(ctx, h, p) {
			r.suspect()
			continue
		}
		*c = checkpoints{stream: stream, sure: state.LastSeq, recent: state.LastSeq}
	}
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
// all of it.
func (r *Relay) heal(ctx context.Context, h *history, p *past) bool {
	start := time.Now()
	exact, wild := r.interestsByKind(h)
	found, read := 0, 0
	err := merge(ctx, []*past{p}, func(one *pastMessage) error {
		m, _, ok := r.decodeLive(one.msg)
		if !ok {
			return nil
		}
		read++
		for _, i := range append(wild, exact[m.Key]) {
			if i != nil && i.missed(m) {
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
		case auth.HasWildcard(text):
			wild = append(wild, i)
		default:
			exact[text] = i
		}
	}
	return exact, wild[:len(wild):len(wild)]
}

// missed delivers a message that did not arrive live, and reports whether that was so.
func (i *interest) missed(m *broker.Message) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, seen := i.lastSeen(m)
	if !i.pattern.Match(m.Key) || m.Position.Seq <= last || (!seen && m.Timestamp < i.since) {
		return false
	}
	i.pass(m)
	return true
}
