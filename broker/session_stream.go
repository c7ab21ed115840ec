package broker

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// EventFraming is the Framing of a connection that only carries events to the
// client, such as server-sent events, in place of STOMP frames.
type EventFraming interface {
	Framing
	// Event appends a message, but for its end, which is a mark.
	Event(dst []byte, m *driver.Message) []byte
	// EventID appends the end of an event, which has the client remember id. Alone it
	// is an event that no program sees.
	EventID(dst []byte, id string) []byte
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
	// MaxLifetime is after how long the stream ends, so that the client comes back:
	// up to a tenth sooner, for those that came together. 0: never.
	MaxLifetime time.Duration
}

// nowTimeout bounds how long the beginning of a stream waits for its history.
const nowTimeout = 3 * time.Second

// OpenStream begins a session that only receives, on a connection whose Framing is
// an [EventFraming]. What is wrong with a destination, or not permitted, is an
// [*Error]; then the transport is closed. The caller calls Detach when the
// connection has ended. When it returns, the interest in all destinations is known
// to all nodes.
func (b *Broker) OpenStream(t Transport, p *auth.Principal, o StreamOptions) (*Session, error) {
	s, err := b.Open(t)
	if err != nil {
		return nil, err
	}
	name := p.Name
	usage, refused := b.usage.join(name)
	if refused != nil {
		s.Detach(nil)
		return nil, refused
	}
	s.handling.Lock() // others may ask about its principal from here on
	if renew := b.renewal.Load(); renew != nil {
		if p, err = (*renew)(p); err != nil {
			s.handling.Unlock()
			b.usage.leave(name, usage)
			s.Detach(nil)
			return nil, unauthenticated(err)
		}
	}
	s.usage, s.user = usage, name
	s.setPrincipal(p)
	s.setVersion(frames.V12)
	s.beatSend.Store(int64(min(o.HeartBeat, maxBeat)))
	if lifetime := int64(min(o.MaxLifetime, maxDuration)); lifetime > 0 {
		s.endsAt.Store(s.openedAt + lifetime - rand.Int64N(lifetime/10+1))
	}
	if len(o.Destinations) > 1 {
		s.outbox.eventIDs = &eventIDs{framing: t.Framing().(EventFraming), ids: make([]string, len(o.Destinations))}
	}
	s.state.Store(int32(stateConnected))
	s.handling.Unlock()
	b.counters.connected.Add(1)
	for i, last := range splitEventIDs(o.LastEventID, len(o.Destinations)) {
		s.handling.Lock()
		err := s.subscribeStream(i, o.Destinations[i], last)
		s.handling.Unlock()
		if err != nil {
			s.Detach(nil)
			return nil, protocolError(err)
		}
	}
	return s, nil
}

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
	if kind, err := s.broker.classify(dest); err == nil && kind != destination.Topic && kind != destination.User {
		return badDestination(dest, "streams carry topics and one's own /user destinations; a message of a queue has to be acknowledged, which takes STOMP")
	}
	sub, err := s.newSubscription(f)
	if err != nil {
		return err
	}
	if v := s.outbox.eventIDs; v != nil {
		s.outbox.mu.Lock()
		v.ids[i] = noEventID
		s.outbox.mu.Unlock()
		sub.eventIDIndex = i
	}
	fromNow := false
	if sub.replay == nil {
		if sub.replay, err = s.replayFromNow(sub); err != nil {
			return err
		}
		fromNow = sub.replay != nil
	}
	group, err := s.attach(subscriptionName(sub.id, sub.named, sub.destination), sub)
	if err != nil {
		return err
	}
	s.flushInterest(group)
	switch {
	case destination.IsReserved(sub.destination):
		s.broker.presence.sendSnapshot(sub)
	case fromNow:
		s.beginNow(sub, group)
	case sub.replay != nil && !sub.replay.live:
		s.startReplay(sub, group)
	}
	return nil
}

// replayFromNow has the client know where it began, so that it misses nothing when
// it comes back before the first message.
func (s *Session) replayFromNow(sub *subscription) (*replay, error) {
	history, err := s.broker.histories.single(sub.pattern)
	if err != nil {
		return nil, err
	}
	if history == nil {
		return nil, nil
	}
	return &replay{space: make(chan struct{}, 1), request: driver.ReplayRequest{History: history.Name, Pattern: sub.pattern}}, nil
}

// beginNow finds out where the history is, before the client knows that it is
// connected. While that cannot be found out, the stream begins without a mark.
func (s *Session) beginNow(sub *subscription, g *group) {
	ctx, cancel := context.WithTimeout(s.broker.ctx, nowTimeout)
	defer cancel()
	now, err := s.broker.history.Replay(ctx, sub.replay.request, func(*driver.Message) error { return nil })
	if err != nil {
		s.broker.log.Warn("a stream begins without knowing where its history is", "session", s.id, "destination", sub.destination, "error", err)
	}
	if result, _ := s.outbox.goLive(sub, now.UpTo); result == pushSkipped || result == pushFull {
		sub.replay.request.After = now.UpTo // a flood meanwhile; take it from the history
		s.startReplay(sub, g)
	}
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
