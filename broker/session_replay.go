package broker

import (
	"context"
	"errors"
	"slices"
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
	sent := s.receipts.awaitStores() // the newest messages may be the session's own
	s.broker.background.Go(func() {
		defer cancel()
		select {
		case <-sent:
			s.replay(ctx, sub, g)
		case <-ctx.Done():
		}
	})
}

func (s *Session) replay(ctx context.Context, sub *subscription, g *group) {
	r := sub.replay
	s.broker.counters.replays.Add(1)
	s.flushInterest(g) // from here on nothing live is missed
	for {
		done, err := s.replayPart(ctx, sub)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errNoRoom) {
			if r.wait(ctx) != nil {
				return
			}
			continue
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

// errNoRoom ends the reading of a history while the client does not read.
var errNoRoom = errors.New("broker: the outbox has no room for what is replayed")

// answerReplays has the SUBSCRIBEs whose past is still on its way get their RECEIPTs, for a session
// whose client ends it: no more of that past comes. It is for the goroutine that handles frames.
func (s *Session) answerReplays() {
	s.mu.Lock()
	subs := slices.Collect(s.holders())
	s.mu.Unlock()
	for _, sub := range subs {
		if sub.replay != nil && sub.replay.owesReceipt(&s.outbox) {
			s.outbox.closeSubscription(sub)
		}
	}
}

// replayPart reads from the history until its end, or until the outbox is full.
func (s *Session) replayPart(ctx context.Context, sub *subscription) (driver.ReplayResult, error) {
	release, ok := s.broker.replaying.take(ctx, s.user)
	if !ok {
		return driver.ReplayResult{}, ctx.Err()
	}
	defer release()
	return s.broker.history.Replay(ctx, sub.replay.request, func(m *driver.Message) error { return s.pushReplayed(sub, m) })
}

// markGap notes that the next message comes after a gap.
func (r *replay) markGap(o *outbox) {
	o.mu.Lock()
	r.gap = true
	o.mu.Unlock()
}

// pushReplayed queues one message of the past, or returns errNoRoom.
func (s *Session) pushReplayed(sub *subscription, m *driver.Message) error {
	r := sub.replay
	at := m.Position
	if m.ToSession != "" && m.ToSession != s.id || m.NoEcho && m.Session == s.id {
		if m.Gap {
			r.markGap(&s.outbox) // the next one that is for this session comes after it
		}
		r.request.After, r.request.Last, r.request.Unnamed = at, 0, false
		return nil
	}
	gap := r.takeGap(&s.outbox, m.Gap)
	if gap {
		m = m.AfterGap()
	}
	var tracked uint64
	if sub.ack != ackAuto {
		tracked = s.trackUnacked(sub, m.ID)
	}
	switch s.outbox.pushReplayed(encodeFor(sub, m), sub, m) {
	case pushClosed:
		return ErrClosed
	case pushFull:
		s.releaseDelivery(sub, tracked)
		if gap {
			r.markGap(&s.outbox)
		}
		return errNoRoom
	}
	if gap {
		s.broker.counters.incomplete.Add(1)
	}
	s.broker.counters.delivered.Add(1)
	s.broker.counters.replayed.Add(1)
	r.request.After, r.request.Last, r.request.Unnamed = at, 0, false
	return nil
}

// takeGap reports whether a message comes after a gap, as before says, or markGap noted.
func (r *replay) takeGap(o *outbox, before bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	gap := r.gap || before
	r.gap, r.incomplete = false, r.incomplete || gap
	return gap
}

// owesReceipt reports whether the SUBSCRIBE waits for its RECEIPT.
func (r *replay) owesReceipt(o *outbox) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return r.receipt != ""
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
func (r *replay) admitLocked(o *outbox, data []byte, m *driver.Message, shared *backlogs) bool {
	if r.live {
		return r.isNewLocked(m)
	}
	if r.overflowed || o.buffered.frames >= o.options.MaxFrames/4 || o.buffered.bytes+len(data) > o.options.MaxBytes/4 {
		r.overflowed = true
		r.dropBufferedLocked(o)
		return false
	}
	if !o.waiting.countLocked(o, data, shared) {
		r.overflowed = true
		r.dropBufferedLocked(o)
		return false
	}
	r.buffered = append(r.buffered, bufferedMessage{data, m})
	r.bufferedBytes += len(data)
	o.buffered.frames++
	o.buffered.bytes += len(data)
	return false
}

// dropBufferedLocked lets go of what is held. The caller holds the outbox's lock.
func (r *replay) dropBufferedLocked(o *outbox) {
	o.buffered.frames -= len(r.buffered)
	o.buffered.bytes -= r.bufferedBytes
	for _, h := range r.buffered {
		o.waiting.leave(h.data)
	}
	r.buffered, r.bufferedBytes = nil, 0
}

func (r *replay) isNewLocked(m *driver.Message) bool {
	return m.Position.Seq == 0 || m.Position.Seq > r.deliveredUpTo.Seq || m.Position.Epoch != r.deliveredUpTo.Epoch
}
