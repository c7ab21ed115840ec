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
	stream, info, err := s.infoAfter(ctx, h, q.After)
	if err != nil {
		return driver.ReplayResult{}, err
	}
	state := info.State
	r := &historyReplay{streams: s.streams, history: h, stream: stream, pattern: q.Pattern, after: q.After, deliver: deliver}
	_, r.epoch = s.streams.epochOf(stream)
	from, gap := firstWanted(q.After, r.epoch, state)
	r.gap = gap
	subjects := PatternSubjects(h.prefix, q.Pattern.String())
	switch {
	case q.After == (driver.StreamPosition{}) && q.Last == 0: // only where it is now
	case q.After == (driver.StreamPosition{}):
		err = r.last(ctx, subjects, state.LastSeq, q.Last)
	default:
		err = r.all(ctx, subjects, from, state.LastSeq)
	}
	if err != nil {
		return driver.ReplayResult{}, err
	}
	if i := s.bus.interestIn(q.Pattern); i != nil {
		i.setBaseline(r.epoch, state.LastSeq)
	}
	return driver.ReplayResult{UpTo: driver.StreamPosition{Epoch: r.epoch, Seq: state.LastSeq}, Incomplete: r.gap}, nil
}

// staleWait is how long a stream may end before what a client has of it. A server that
// was paused or cut off takes itself for the leader until it hears of another one, and
// for at most ten seconds.
const staleWait = 12 * time.Second

// infoAfter is what the leader says of a history's stream, once that has what the client
// has. Where it does not get there, what the client has was lost.
func (s *historyStore) infoAfter(ctx context.Context, h *history, after driver.StreamPosition) (string, *jetstream.StreamInfo, error) {
	until := time.Now().Add(s.staleWait)
	for {
		stream, info, err := s.streams.info(ctx, h)
		if err != nil {
			return "", nil, err
		}
		if _, epoch := s.streams.epochOf(stream); epoch != after.Epoch || after.Seq <= info.State.LastSeq || time.Now().After(until) {
			return stream, info, nil
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
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
