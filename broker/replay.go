package broker

import (
	"context"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

const (
	// mostReplayLast is the largest replay-last.
	mostReplayLast = 10_000
	// replayRetry is after how long a replay is tried again that failed.
	replayRetry = time.Second
)

// replay joins the past of a subscription to what is live: while the past is
// being delivered, live messages are held; then those that were not among it
// follow. All but request, cancel and room is under the outbox's lock.
type replay struct {
	request driver.ReplayRequest
	cancel  context.CancelFunc
	room    chan struct{} // the outbox has room again

	live  bool                  // nothing is held any more
	floor driver.StreamPosition // all up to it was delivered
	gap   bool                  // the next message comes after others that are missing
	held  []heldMessage
	bytes int
	over  bool // more came than could be held; they are read from the history
}

type heldMessage struct {
	data    []byte
	message *driver.Message
}

// askedReplay reads what a SUBSCRIBE wants of the past, or nil.
func (s *Session) askedReplay(sub *subscription, f *frames.Frame) (*replay, error) {
	id, after := f.Headers.Lookup(HeaderLastEventID)
	count, last := f.Headers.Lookup(HeaderReplayLast)
	switch {
	case !after && !last:
		return nil, nil
	case after && last:
		return nil, errorf(CodeBadHeader, "%s and %s do not go together", HeaderLastEventID, HeaderReplayLast)
	}
	history, bad := s.broker.histories.only(sub.pattern)
	if bad != nil {
		return nil, bad
	}
	r := &replay{room: make(chan struct{}, 1), request: driver.ReplayRequest{Pattern: sub.pattern}}
	if last {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > mostReplayLast {
			return nil, errorf(CodeBadHeader, "%s %q is not a number from 1 to %d", HeaderReplayLast, count, mostReplayLast)
		}
		r.request.Last = n
	} else {
		r.request.After = driver.ParseStreamPosition(id)
	}
	if history == nil {
		r.live, r.gap = true, after // nothing is kept, so what was missed is gone
		return r, nil
	}
	r.request.History = history.Name
	return r, nil
}

// startReplay delivers the past of a subscription while its session goes on.
func (s *Session) startReplay(sub *subscription, g *group) {
	ctx, cancel := context.WithCancel(s.broker.ctx)
	sub.replay.cancel = cancel
	s.broker.background.Go(func() {
		defer cancel()
		s.replay(ctx, sub, g)
	})
}

func (s *Session) replay(ctx context.Context, sub *subscription, g *group) {
	r := sub.replay
	s.broker.counters.replays.Add(1)
	s.flushInterest(g) // from here on nothing live is missed
	for {
		done, err := s.broker.history.Replay(ctx, r.request, func(m *driver.Message) error { return s.pushPast(ctx, sub, m) })
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.broker.log.Warn("a replay is tried again", "session", s.id, "destination", sub.shown, "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(replayRetry):
			}
			continue
		}
		if done.Incomplete {
			r.missing(&s.outbox)
		}
		r.request.After, r.request.Last = done.UpTo, 0
		if live, err := s.goLive(ctx, sub, done.UpTo); live || err != nil {
			return
		}
	}
}

// missing notes that the next message comes after a gap.
func (r *replay) missing(o *outbox) {
	o.mu.Lock()
	r.gap = true
	o.mu.Unlock()
}

// pushPast queues one message of the past, and waits for room.
func (s *Session) pushPast(ctx context.Context, sub *subscription, m *driver.Message) error {
	if m.ToSession != "" && m.ToSession != s.id || m.NoEcho && m.Session == s.id {
		return nil
	}
	if sub.ack != ackAuto {
		s.remember(sub, m.ID)
	}
	r := sub.replay
	if r.takeGap(&s.outbox) || m.Gap {
		m = m.AfterGap()
		s.broker.counters.incomplete.Add(1)
	}
	data := encodeFor(sub, m)
	for {
		switch s.outbox.pushPast(data, sub, m) {
		case pushed:
			s.broker.counters.delivered.Add(1)
			s.broker.counters.replayed.Add(1)
			r.request.After, r.request.Last = m.Position, 0
			return nil
		case pushClosed:
			return ErrClosed
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

func (r *replay) takeGap(o *outbox) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	gap := r.gap
	r.gap = false
	return gap
}

// roomAgain is called by the outbox, see waiter.
func (r *replay) roomAgain() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

func (r *replay) wait(ctx context.Context) error {
	select {
	case <-r.room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goLive has what was held follow, and then everything as it comes. It reports
// false where more came meanwhile than could be held: that is to be replayed.
func (s *Session) goLive(ctx context.Context, sub *subscription, upTo driver.StreamPosition) (bool, error) {
	for {
		switch result, queued := s.outbox.goLive(sub, upTo); result {
		case pushed:
			s.broker.counters.delivered.Add(int64(queued))
			return true, nil
		case pushHeld:
			return false, nil
		case pushClosed:
			return false, ErrClosed
		}
		if err := sub.replay.wait(ctx); err != nil {
			return false, err
		}
	}
}

// passes reports whether a live message is for the subscriber now: it is not
// while the past is being delivered, nor where it was part of that. The caller
// holds the outbox's lock.
func (r *replay) passes(o *OutboxOptions, data []byte, m *driver.Message) bool {
	if r.live {
		return r.fresh(m)
	}
	if r.over || len(r.held) >= o.MaxFrames/4 || r.bytes+len(data) > o.MaxBytes/4 {
		r.over, r.held, r.bytes = true, nil, 0
		return false
	}
	r.held = append(r.held, heldMessage{data, m})
	r.bytes += len(data)
	return false
}

func (r *replay) fresh(m *driver.Message) bool {
	return m.Position.Seq == 0 || m.Position.Seq > r.floor.Seq || m.Position.Epoch != r.floor.Epoch
}

// encodeFor makes the MESSAGE frame of one subscription, shared with no other.
func encodeFor(sub *subscription, m *driver.Message) []byte {
	f := newFanout(m)
	defer f.release()
	return f.encode(sub)
}
