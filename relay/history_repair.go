package relay

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkpoints say up to where a history's live messages have surely arrived: a
// place that the stream had reached while nothing was wrong, some seconds ago.
// The watch alone uses them.
type checkpoints struct {
	stream string
	leader string // and since when
	sure   uint64
	recent uint64
}

// scheduleRepair has the next check look for messages that were missed: the connection
// or a link between servers was away, or this node was too slow.
func (s *historyStore) scheduleRepair() { s.repairDue.Store(true) }

// check is called by the watch now and then. It notes how far the
// histories are, or fetches what was missed.
func (s *historyStore) check(ctx context.Context) {
	due := s.repairDue.Swap(false)
	for _, h := range s.streams.all {
		if s.bus.oldestInterest(h.policy.Match).IsZero() {
			h.checks = checkpoints{}
			_, _ = s.streams.nameOf(ctx, h) // made before the first message; else with that
			continue
		}
		stream, info, err := s.streams.info(ctx, h)
		if err != nil {
			if due {
				s.scheduleRepair() // later
			}
			continue
		}
		c, state, leader := &h.checks, info.State, leaderOf(info)
		look := due || c.leader != "" && c.leader != leader
		cursor := &historyCursor{link: s.link, stream: stream, subject: h.prefix + ".>", upTo: state.LastSeq}
		switch {
		case c.stream == stream && look:
			cursor.next = c.sure + 1
		case c.stream == stream:
			c.sure, c.recent, c.leader = c.recent, state.LastSeq, leader
			continue
		case c.stream != "": // it was made again, and all of it is new
			cursor.next = 1
		case look: // before anything was noted
			since := s.bus.oldestInterest(h.policy.Match).Add(-clocksDiffer)
			cursor.since = &since
		}
		if (cursor.next > 0 || cursor.since != nil) && !s.repairGaps(ctx, h, cursor) {
			s.scheduleRepair()
			continue
		}
		*c = checkpoints{stream: stream, leader: leader, sure: state.LastSeq, recent: state.LastSeq}
	}
}

// leaderOf says who leads a stream, and since when. What is stored while that changes
// may be published to no node: only a leader publishes.
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

// repairGaps delivers what of the past did not arrive, and reports whether it could read
// all of it.
func (s *historyStore) repairGaps(ctx context.Context, h *history, cursor *historyCursor) bool {
	start := time.Now()
	trims := trimDetector{drops: drops{streams: s.streams, history: h, stream: cursor.stream}, sure: cursor.next - 1, unknown: cursor.since != nil}
	if !trims.unknown {
		cursor.turned = trims.turned
	}
	exact, wild := s.bus.interestsIn(h.policy.Match)
	found, read := 0, 0
	err := merge(ctx, []*historyCursor{cursor}, func(stored *storedMessage) error {
		m, _, ok := s.streams.decodeStored(stored.msg)
		if !ok || h.isCleared(cursor.stream, m.Key, stored.seq) {
			return nil
		}
		read++
		for _, i := range append(wild, exact[m.Key]) {
			if i != nil && i.missed(m, func(last uint64) bool { return trims.before(ctx, i, m, last) }) {
				found++
			}
		}
		return nil
	})
	s.filled.Add(int64(found))
	s.link.log.Info("looked for messages that were missed", "history", h.policy.Name, "found", found, "read", read, "took", time.Since(start).Round(time.Millisecond), "error", err)
	return err == nil
}
