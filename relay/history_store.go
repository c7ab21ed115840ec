package relay

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// historyStore is a [driver.HistoryStore] on streams of JetStream. It alone knows both
// the streams and the bus, and so sees to it that live messages that did not arrive are
// fetched from their history.
type historyStore struct {
	link    *link
	streams *historyStreams
	bus     *bus
	readers *readers

	backfills chan struct{} // has room for those that may run at a time
	staleWait time.Duration
	repairDue atomic.Bool  // live messages may have been missed
	filled    atomic.Int64 // messages that were fetched since they did not arrive
}

func newHistoryStore(l *link, streams *historyStreams, b *bus, r *readers) *historyStore {
	return &historyStore{link: l, streams: streams, bus: b, readers: r, backfills: make(chan struct{}, maxBackfills), staleWait: staleWait}
}

// Policies are what the histories keep.
func (s *historyStore) Policies() []driver.HistoryPolicy { return s.streams.settings.Policies }

// Replay delivers the past. See [driver.HistoryStore].
func (s *historyStore) Replay(ctx context.Context, q driver.ReplayRequest, deliver func(*driver.Message) error) (driver.ReplayResult, error) {
	if err := checkKey(q.Pattern.String()); err != nil {
		return driver.ReplayResult{}, err
	}
	h, err := s.streams.named(q.History)
	if err != nil {
		return driver.ReplayResult{}, err
	}
	i := s.bus.interestIn(q.Pattern)
	gap := false
	for {
		r := &historyReplay{drops: drops{streams: s.streams, history: h}, pattern: q.Pattern, deliver: deliver, gap: gap}
		upTo, current, err := s.replayOnce(ctx, r, q, i)
		if err != nil {
			return driver.ReplayResult{}, err
		}
		joined := i == nil || i.join(upTo.Epoch, upTo.Seq)
		if joined || !current { // what comes between is nowhere
			return driver.ReplayResult{UpTo: upTo, Incomplete: r.gap || !joined || !current}, nil
		}
		q.After, q.Last, q.Unnamed, gap = upTo, 0, false, r.gap
	}
}

// replayOnce replays up to where the history is now. It reports false where that is still
// before what this node has seen.
func (s *historyStore) replayOnce(ctx context.Context, r *historyReplay, q driver.ReplayRequest, i *interest) (upTo driver.StreamPosition, current bool, err error) {
	stream, info, current, err := s.infoAfter(ctx, r.history, q.After, i)
	if err != nil {
		return upTo, false, err
	}
	state := info.State
	if q.Unnamed {
		if q.After, err = s.verifyUnnamed(ctx, r.history, stream, q); err != nil {
			return upTo, false, err
		}
	}
	r.stream, r.after = stream, q.After
	r.begin(state)
	_, r.epoch = s.streams.epochOf(stream)
	from, gap := firstWanted(q.After, r.epoch, state)
	r.gap = r.gap || gap || q.After.Epoch == r.epoch && r.history.clearedIn(stream).since(q.Pattern, q.After.Seq)
	subjects := PatternSubjects(r.history.prefix, q.Pattern.String())
	switch {
	case q.After == (driver.StreamPosition{}) && q.Last == 0: // only where it is now
	case q.After == (driver.StreamPosition{}):
		err = r.last(ctx, subjects, state.LastSeq, q.Last)
	default:
		err = r.all(ctx, subjects, from, state.LastSeq)
	}
	return driver.StreamPosition{Epoch: r.epoch, Seq: state.LastSeq}, current, err
}

// verifyUnnamed returns the position of an id that does not name its destination, where
// the message that has it is of the pattern, and else one of no stream.
func (s *historyStore) verifyUnnamed(ctx context.Context, h *history, stream string, q driver.ReplayRequest) (driver.StreamPosition, error) {
	none := driver.StreamPosition{Epoch: driver.NoEpoch}
	switch _, epoch := s.streams.epochOf(stream); {
	case epoch != q.After.Epoch:
		return none, nil
	case q.After.Seq == 0:
		return q.After, nil // nothing was before it
	}
	stored, err := readFromLeader(ctx, s.link, stream, pageRequest{Seq: q.After.Seq, Subject: h.prefix + ".>"})
	if err != nil || stored == nil || stored.seq != q.After.Seq {
		return none, err
	}
	if m, _, ok := s.streams.decodeStored(stored.msg); !ok || !q.Pattern.Match(m.Key) {
		return none, nil
	}
	return q.After, nil
}

// staleWait is how long a stream may end before what a client has of it. A server that
// was paused or cut off takes itself for the leader until it notices another one, and
// for at most ten seconds after it was last heard. Being cut off again does not count.
const staleWait = 20 * time.Second

// infoAfter is what the leader says of a history's stream, once that has what the client
// has, and what this node has seen: a server that was cut off may have been passed on what
// others stored before it knows that. Where the stream does not get there it reports false,
// since that was lost.
func (s *historyStore) infoAfter(ctx context.Context, h *history, after driver.StreamPosition, i *interest) (stream string, info *jetstream.StreamInfo, current bool, err error) {
	until := time.Now().Add(s.staleWait)
	for {
		seen := i.reached()
		if stream, info, err = s.streams.info(ctx, h); err != nil {
			return "", nil, false, err
		}
		_, epoch := s.streams.epochOf(stream)
		wanted := seen[epoch]
		if epoch == after.Epoch {
			wanted = max(wanted, after.Seq)
		}
		if s.link.state() != connected {
			until = time.Now().Add(s.staleWait)
		}
		if current = wanted <= info.State.LastSeq; current || time.Now().After(until) {
			return stream, info, current, nil
		}
		select {
		case <-ctx.Done():
			return "", nil, false, ctx.Err()
		case <-time.After(backfillRetry):
		}
	}
}

// firstWanted returns the sequence after a position, and whether something in
// between is gone.
func firstWanted(after driver.StreamPosition, epoch string, state jetstream.StreamState) (from uint64, gap bool) {
	switch {
	case after == (driver.StreamPosition{}):
		return 1, false
	case after.Epoch != epoch:
		return 1, true // of a stream that is no more
	case after.Seq > state.LastSeq:
		return state.LastSeq + 1, true // what the client knows was lost
	}
	from = after.Seq + 1
	return from, state.FirstSeq > from
}

func (s *historyStore) keeps(p destination.Pattern) bool { return s.streams.keeps(p) }

func (s *historyStore) decodeLive(msg *nats.Msg) (*driver.Message, uint64, bool) {
	return s.streams.decodeLive(msg)
}
