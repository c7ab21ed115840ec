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

// EventFraming is the Framing of a connection that carries only events to the client, such as
// server-sent events, instead of STOMP frames.
type EventFraming interface {
	Framing
	// Event appends a message with a message-id, without its end, which EventID appends.
	Event(dst []byte, m *driver.Message, id string) []byte
	// EventID appends the end of an event, which makes the client remember id. Without an Event
	// before it, programs do not see it.
	EventID(dst []byte, id string) []byte
	// HeartBeatEvent appends a heart-beat that programs see. It contains the milliseconds until
	// the next one, and the id that EventID would have, or "".
	HeartBeatEvent(dst []byte, interval int64, id string) []byte
	// Notice appends a complete event that the broker itself sends.
	Notice(dst []byte, event string, data []byte) []byte
}

// Events that the broker itself adds to streams.
const (
	// EventReplayIncomplete is sent before a message if earlier ones are missing. Its data is the
	// destination.
	EventReplayIncomplete = "replay-incomplete"
	// EventProblem is the last event of a stream that ends with an error. Its data is an object
	// with code and message.
	EventProblem = "problem"
)

// StreamOptions configure a stream of events.
type StreamOptions struct {
	// Destinations are topics, patterns of topics, and the principal's own /user/<rest>.
	Destinations []string
	// LastEventID is the last id that the client got for the same destinations in the same order,
	// or "".
	LastEventID string
	// HeartBeat is the time without data after which a heart-beat is sent.
	HeartBeat time.Duration
	// HeartBeatEvents makes heart-beats events that programs see. They are sent at this interval
	// even between messages.
	HeartBeatEvents bool
	// MaxLifetime is the time after which the stream ends and the client reconnects. It is up to
	// a tenth shorter at random, so that clients do not return together. 0 means never.
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
			last[i] = driver.NoEpoch
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
		if last != "" {
			// Until something is delivered, the client keeps the place that it had.
			v.places[i].position = sub.givenPlace(last)
		}
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
	case sub.replay == nil:
	case sub.replay.live:
		s.outbox.pushGapNotice(sub)
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
