package broker

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

const (
	// maxReplayLast is the largest replay-last.
	maxReplayLast = 10_000
	// replayRetry is after how long a replay is tried again that failed.
	replayRetry = time.Second
)

// replay joins the past of a subscription to what is live: while the past is
// being delivered, live messages are held; then those that were not among it
// follow. All but request, cancel and room is under the outbox's lock.
type replay struct {
	request driver.ReplayRequest
	cancel  context.CancelFunc
	space   chan struct{} // the outbox has room again

	live          bool                  // nothing is held any more
	deliveredUpTo driver.StreamPosition // all up to it was delivered
	gap           bool                  // the next message comes after others that are missing
	incomplete    bool                  // something of the past is known to be missing
	fromNow       bool                  // nothing of the past is wanted but where it ends
	receipt       string                // of the SUBSCRIBE, which comes where the past ends
	buffered      []bufferedMessage
	bufferedBytes int
	overflowed    bool // more came than could be held; they are read from the history
}

type bufferedMessage struct {
	data    []byte
	message *driver.Message
}

// prepareReplay has a subscription know its place in a history from the beginning, where it
// wants something of the past, or its RECEIPT to say where that ends.
func (s *Session) prepareReplay(sub *subscription, f *frames.Frame) (err error) {
	if sub.replay, err = s.parseReplay(sub, f); err != nil {
		return err
	}
	history, several := s.broker.histories.single(sub.pattern)
	if history == nil && several == nil || destination.IsReserved(sub.destination) {
		return nil
	}
	sub.place = placeName(sub.pattern)
	receipt, ok := f.Headers.Lookup(frames.Receipt)
	if !ok || history == nil {
		return nil // several have no place in common
	}
	if sub.replay == nil {
		sub.replay = replayFromNow(history, sub.pattern)
	}
	sub.replay.receipt = strings.Clone(receipt)
	return nil
}

// parseReplay reads what a SUBSCRIBE wants of the past, or nil.
func (s *Session) parseReplay(sub *subscription, f *frames.Frame) (*replay, error) {
	id, after := f.Headers.Lookup(HeaderLastEventID)
	count, last := f.Headers.Lookup(HeaderReplayLast)
	switch {
	case !after && !last:
		return nil, nil
	case after && last:
		return nil, errorf(CodeBadHeader, "%s and %s do not go together", HeaderLastEventID, HeaderReplayLast)
	}
	history, err := s.broker.histories.single(sub.pattern)
	if err != nil {
		return nil, err
	}
	r := &replay{space: make(chan struct{}, 1), request: driver.ReplayRequest{Pattern: sub.pattern}}
	if last {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > maxReplayLast {
			return nil, errorf(CodeBadHeader, "%s %q is not a number from 1 to %d", HeaderReplayLast, count, maxReplayLast)
		}
		r.request.Last = n
	} else {
		r.request.After, r.request.Unnamed = parsePlace(sub.pattern, id)
	}
	if history == nil {
		r.live, r.gap, r.incomplete = true, after, after // nothing is kept, so what was missed is gone
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
		done, err := s.broker.history.Replay(ctx, r.request, func(m *driver.Message) error { return s.pushReplayed(ctx, sub, m) })
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.broker.log.Warn("a replay is tried again", "session", s.id, "destination", sub.destination, "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(replayRetry):
			}
			continue
		}
		if done.Incomplete {
			r.markGap(&s.outbox)
		}
		r.request.After, r.request.Last, r.request.Unnamed = done.UpTo, 0, false
		if live, err := s.goLive(ctx, sub, done.UpTo); live || err != nil {
			return
		}
	}
}

// markGap notes that the next message comes after a gap.
func (r *replay) markGap(o *outbox) {
	o.mu.Lock()
	r.gap = true
	o.mu.Unlock()
}

// pushReplayed queues one message of the past, and waits for room.
func (s *Session) pushReplayed(ctx context.Context, sub *subscription, m *driver.Message) error {
	if m.ToSession != "" && m.ToSession != s.id || m.NoEcho && m.Session == s.id {
		return nil
	}
	if sub.ack != ackAuto {
		s.trackUnacked(sub, m.ID)
	}
	r := sub.replay
	if r.takeGap(&s.outbox) || m.Gap {
		r.incomplete = true
		m = m.AfterGap()
		s.broker.counters.incomplete.Add(1)
	}
	data := encodeFor(sub, m)
	for {
		switch s.outbox.pushReplayed(data, sub, m) {
		case pushed:
			s.broker.counters.delivered.Add(1)
			s.broker.counters.replayed.Add(1)
			r.request.After, r.request.Last, r.request.Unnamed = m.Position, 0, false
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

// spaceFreed is called by the outbox, see waiter.
func (r *replay) spaceFreed() {
	select {
	case r.space <- struct{}{}:
	default:
	}
}

func (r *replay) wait(ctx context.Context) error {
	select {
	case <-r.space:
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
		case pushSkipped:
			return false, nil
		case pushClosed:
			return false, ErrClosed
		}
		if err := sub.replay.wait(ctx); err != nil {
			return false, err
		}
	}
}

// admitLocked reports whether a live message is for the subscriber now: it is not
// while the past is being delivered, nor where it was part of that. The caller
// holds the outbox's lock.
func (r *replay) admitLocked(o *OutboxOptions, data []byte, m *driver.Message) bool {
	if r.live {
		return r.isNewLocked(m)
	}
	if r.overflowed || len(r.buffered) >= o.MaxFrames/4 || r.bufferedBytes+len(data) > o.MaxBytes/4 {
		r.overflowed, r.buffered, r.bufferedBytes = true, nil, 0
		return false
	}
	r.buffered = append(r.buffered, bufferedMessage{data, m})
	r.bufferedBytes += len(data)
	return false
}

func (r *replay) isNewLocked(m *driver.Message) bool {
	return m.Position.Seq == 0 || m.Position.Seq > r.deliveredUpTo.Seq || m.Position.Epoch != r.deliveredUpTo.Epoch
}
