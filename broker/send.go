package broker

import (
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

// send handles a SEND: checks first, then at once or at COMMIT.
func (s *Session) send(f *frames.Frame) error {
	if !s.rate.allow(s.broker.clock.now(), s.broker.limits.MessageRate) {
		return errorf(CodeMessageRate, "more than %d messages a second", s.broker.limits.MessageRate)
	}
	destination := f.Get(frames.Destination)
	kind, bad := s.broker.classify(destination)
	if bad != nil {
		return bad
	}
	if kind == kindApp {
		if err := checkReplyTo(f); err != nil {
			return err
		}
	}
	if err := s.replyTo(f); err != nil {
		return err
	}
	todo, err := s.prepare(kind, destination, f)
	if err != nil {
		return err
	}
	s.broker.counters.received.Add(1)
	if name, ok := f.Headers.Lookup(frames.Transaction); ok {
		return s.inTransaction(name, len(f.Body), todo)
	}
	return todo.run()
}

// step is a frame that was checked, and is carried out now or at COMMIT.
type step struct {
	run func() error
	// store is set where run would write to a queue: a transaction writes all of
	// its queue messages together instead.
	store *StoreRequest
}

// prepare checks a SEND completely and returns what carries it out.
func (s *Session) prepare(kind kind, destination string, f *frames.Frame) (step, error) {
	if kind == kindToken {
		token := f.Body
		return step{run: func() error { return s.refresh(token) }}, nil
	}
	if auth.HasWildcard(destination) {
		return step{}, badDestination(destination, "a SEND needs a name without wildcards")
	}
	if isReserved(destination) {
		return step{}, badDestination(destination, "names that begin with $ are the broker's own")
	}
	// Whoever knows a reply token was given it to answer.
	if kind != kindReply && !s.principal.Permissions.MaySend(destination) {
		return step{}, forbidden(destination, "send")
	}
	switch kind {
	case kindTopic, kindReply:
		return s.publication(f, s.message(f, destination, destination))
	case kindUser:
		user, own, bad := splitUser(destination)
		if bad != nil {
			return step{}, bad
		}
		m := s.message(f, own, userKey(auth.UnescapeSegment(user), own))
		m.ToSession = strings.Clone(f.Get(frames.Session))
		return s.publication(f, m)
	case kindQueue:
		return s.enqueue(f, destination)
	case kindApp:
		return s.request(f, destination)
	}
	return step{}, badDestination(destination, "clients cannot send to it")
}

// publication returns what carries out a SEND to subscribers: at once, or by way
// of a history, which brings it back.
func (s *Session) publication(f *frames.Frame, m *Message) (step, error) {
	if h := s.broker.histories.of(m.Key); h != nil {
		return s.storing(f, m, StoreOptions{History: h.Name}, 0, &s.broker.counters.kept)
	}
	return step{run: func() error { return s.broker.publish(m) }}, nil
}

// message makes the one immutable Message of a SEND.
func (s *Session) message(f *frames.Frame, destination, key string) *Message {
	noEcho, _ := f.Headers.Lookup(HeaderNoEcho)
	return &Message{
		ID: s.broker.nextID(), Destination: destination, Key: key,
		User: s.principal.Name, Session: s.id, NoEcho: strings.EqualFold(noEcho, "true"),
		Timestamp: time.Now().UnixMilli(), Headers: passThrough(f.Headers), Body: f.Body,
	}
}

// rateLimit is a token bucket that holds as much as a second gives.
type rateLimit struct {
	tokens float64
	last   int64
}

func (r *rateLimit) allow(now int64, perSecond int) bool {
	if perSecond <= 0 {
		return true
	}
	most := float64(perSecond)
	if r.last == 0 {
		r.tokens = most
	} else {
		r.tokens = min(most, r.tokens+float64(now-r.last)*most/1e9)
	}
	r.last = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}
