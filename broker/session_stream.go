package broker

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// EventFraming is the Framing of a connection that only carries events to the
// client, such as server-sent events, in place of STOMP frames.
type EventFraming interface {
	Framing
	// Event appends a message with a message-id, but for its end, which is a mark.
	Event(dst []byte, m *driver.Message, id string) []byte
	// EventID appends the end of an event, which has the client remember id. Alone it
	// is an event that no program sees.
	EventID(dst []byte, id string) []byte
	// HeartBeatEvent appends a heart-beat that programs see: after how many milliseconds
	// the next one comes, and the mark that EventID would have, or "".
	HeartBeatEvent(dst []byte, interval int64, id string) []byte
	// Notice appends a whole event of the broker's own.
	Notice(dst []byte, event string, data []byte) []byte
}

// Events of the broker's own in streams.
const (
	// EventReplayIncomplete comes before a message before which others are missing;
	// its data is the destination.
	EventReplayIncomplete = "replay-incomplete"
	// EventProblem is the last one of a stream that ends by an error; its data is an
	// object with code and message.
	EventProblem = "problem"
)

// StreamOptions are what a stream of events carries.
type StreamOptions struct {
	// Destinations are topics, patterns of topics, and one's own /user/<rest>.
	Destinations []string
	// LastEventID is the last mark that the client got of the same destinations, in
	// the same order, or "".
	LastEventID string
	// HeartBeat is after how long of silence the framing's heart-beat is sent.
	HeartBeat time.Duration
	// HeartBeatEvents has heart-beats be events that programs see. They are sent at that
	// interval, whatever else is sent.
	HeartBeatEvents bool
	// MaxLifetime is after how long the stream ends, so that the client comes back:
	// up to a tenth sooner, for those that came together. 0: never.
	MaxLifetime time.Duration
}

// nowTimeout bounds how long the beginning of a stream waits for its history.
const nowTimeout = 3 * time.Second

// splitEventIDs splits what a client remembers into one mark for each destination. One
// that is not of as many destinations tells nothing, but that something was missed.
func splitEventIDs(id string, n int) []string {
	last := make([]string, n)
	if id == "" {
		return last
	}
	parts := strings.Split(id, eventIDSep)
	for i := range last {
		switch {
		case len(parts) != n:
			last[i] = "none"
		case parts[i] != noEventID:
			last[i] = parts[i]
		}
	}
	return last
}

func (s *Session) subscribeStream(i int, dest, last string) error {
	f := frames.New(frames.SUBSCRIBE, frames.ID, strconv.Itoa(i), frames.Destination, dest)
	if last != "" {
		f.Headers = f.Headers.With(HeaderLastEventID, last)
	}
	if kind, err := s.broker.admission.classify(dest); err == nil && kind != destination.Topic && kind != destination.User {
		return badDestination(dest, "streams carry topics and one's own /user destinations; a message of a queue has to be acknowledged, which takes STOMP")
	}
	sub, err := s.newSubscription(f)
	if err != nil {
		return err
	}
	if v := s.outbox.eventIDs; v != nil {
		s.outbox.mu.Lock()
		v.places[i].name = sub.place
		s.outbox.mu.Unlock()
		sub.eventIDIndex = i
	}
	if sub.replay == nil {
		history, err := s.broker.histories.single(sub.pattern)
		if err != nil {
			return err
		}
		if history != nil {
			sub.replay = replayFromNow(history, sub.pattern)
		}
	}
	group, err := s.attach(subscriptionName(sub.id, sub.named, sub.destination), sub)
	if err != nil {
		return err
	}
	s.flushInterest(group)
	switch {
	case destination.IsReserved(sub.destination):
		s.broker.presence.sendSnapshot(sub)
	case sub.replay == nil || sub.replay.live:
	case sub.replay.fromNow:
		s.beginNow(sub, group)
	default:
		s.startReplay(sub, group)
	}
	return nil
}

// replayFromNow has the client know where it began, so that it misses nothing when
// it comes back before the first message.
func replayFromNow(history *driver.HistoryPolicy, pattern destination.Pattern) *replay {
	return &replay{fromNow: true, space: make(chan struct{}, 1), request: driver.ReplayRequest{History: history.Name, Pattern: pattern}}
}

// beginNow finds out where the history is, before the client knows that it is
// subscribed, and before its next frame is read, which may be a SEND to that history.
// While it cannot be found out, the subscription begins without a mark.
func (s *Session) beginNow(sub *subscription, g *group) {
	now, err := s.broker.stores.now(sub.replay.request)
	if err != nil {
		s.broker.log.Warn("a subscription begins without knowing where its history is", "session", s.id, "destination", sub.destination, "error", err)
	}
	result, queued := s.outbox.goLive(sub, now.UpTo)
	if result == pushed {
		s.broker.counters.delivered.Add(int64(queued))
		return
	}
	if err != nil {
		sub.replay.markGap(&s.outbox) // what is held may not be all
	}
	sub.replay.request.After = now.UpTo // a flood meanwhile; take it from the history
	s.startReplay(sub, g)
}

// now returns where a history is. When it has just not answered it is not asked, so that
// a client with many subscriptions does not wait for each of them.
func (b stores) now(r driver.ReplayRequest) (driver.ReplayResult, error) {
	if failed := b.nowFailed.Load(); failed != 0 && b.clock.now()-failed < int64(nowTimeout) {
		return driver.ReplayResult{}, errors.New("the history has not answered a moment ago")
	}
	ctx, cancel := context.WithTimeout(b.ctx, nowTimeout)
	defer cancel()
	now, err := b.history.Replay(ctx, r, func(*driver.Message) error { return nil })
	if err != nil {
		b.nowFailed.Store(b.clock.now())
	}
	return now, err
}

// problem is an ERROR as a stream has it.
func problem(framing EventFraming, e *Error) []byte {
	data, err := json.Marshal(struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	}{e.Code, e.Message})
	if err != nil {
		return nil
	}
	return framing.Notice(nil, EventProblem, data)
}

// spread makes a lifetime up to a tenth shorter, so that streams which began together do
// not end together.
func spread(lifetime int64) int64 { return lifetime - rand.Int64N(lifetime/10+1) }
