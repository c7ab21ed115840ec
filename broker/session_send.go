package broker

import (
	"errors"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// origin is on whose behalf something is sent. Over HTTP there is no session.
type origin struct {
	principal *auth.Principal
	session   string
}

func (s *Session) origin() origin { return origin{s.principal, s.id} }

// send handles a SEND: checks first, then at once or at COMMIT.
func (s *Session) send(f *frames.Frame) error {
	b := s.broker
	if !s.rate.allow(b.clock.now(), b.limits.MessageRate) {
		return errorf(CodeMessageRate, "more than %d messages a second", b.limits.MessageRate)
	}
	if err := b.usage.send(s.usage, len(f.Body)); err != nil {
		return err
	}
	dest := f.Get(frames.Destination)
	if dest == destination.TokenDestination {
		token := f.Body
		return s.executeOrBuffer(f, operation{run: func() error { return s.refresh(token) }})
	}
	kind, dest, err := b.authorizeSend(s.origin(), dest, f)
	var told *rejection
	if errors.As(err, &told) {
		b.sendRejection(s.origin(), f, told.why)
		return nil
	}
	if err != nil {
		return err
	}
	if kind == 0 {
		b.counters.rejected.Add(1)
		return nil
	}
	if err := s.replyTo(f); err != nil {
		return err
	}
	todo, err := b.newOperation(s.origin(), kind, dest, f)
	if err != nil {
		return err
	}
	b.counters.received.Add(1)
	return s.executeOrBuffer(f, todo)
}

// step is a frame that was checked, and is carried out now or at COMMIT.
type operation struct {
	// now carries it out.
	run func() error
	// later is in place of now where the outcome comes later: done is called with it
	// once, maybe before later returns.
	runAsync func(done func(error))
	// runConfirmed is for an ACK, beside run: the same, with done called once the store
	// has confirmed it.
	runConfirmed func(done func(error))
	// store is set where later would write to a queue: a transaction writes all of
	// its queue messages together instead.
	store *driver.StoreRequest
	size  int // of the body, in octets
}

// do carries out a frame's step, or keeps it for the COMMIT.
func (s *Session) executeOrBuffer(f *frames.Frame, todo operation) error {
	if name, ok := f.Headers.Lookup(frames.Transaction); ok {
		return s.buffer(name, todo)
	}
	return s.execute(todo, f.Get(frames.Receipt))
}

// run carries out a step. It returns errLater where the receipt is sent later.
func (s *Session) execute(todo operation, receipt string) error {
	if todo.run != nil {
		return todo.run()
	}
	a := s.receipts.reserve(receipt, todo.size)
	todo.runAsync(a.complete)
	return errLater
}

// admitSend checks where a SEND goes to, and asks the interceptors, who may change
// that. The kind is 0 where they dropped it.
func (b *Broker) authorizeSend(from origin, dest string, f *frames.Frame) (destination.Kind, string, error) {
	dest = destination.Canonical(dest)
	of, err := b.sendable(dest)
	if err != nil {
		return 0, "", err
	}
	admitted, passed, err := b.authorize(b.interceptors.send, from, dest, f)
	switch {
	case err != nil || !passed:
		return 0, "", err
	case admitted != dest:
		admitted = destination.Canonical(admitted)
		if of, err = b.sendable(admitted); err != nil {
			return 0, "", err
		}
	}
	if of == destination.App {
		err = checkReplyTo(f)
	}
	return of, admitted, err
}

// sendable returns the kind of a destination that clients can send to.
func (b *Broker) sendable(dest string) (destination.Kind, error) {
	of, bad := b.classify(dest)
	switch {
	case bad != nil:
		return 0, bad
	case of == destination.TempQueue || of == destination.Token:
		return 0, badDestination(dest, "clients cannot send to it")
	case destination.HasWildcard(dest):
		return 0, badDestination(dest, "a SEND needs a name without wildcards")
	case destination.IsReserved(dest):
		return 0, badDestination(dest, "names that begin with $ are the broker's own")
	}
	return of, nil
}

// tellRejected tells a sender that an interceptor took its message for wrong.
func (b *Broker) sendRejection(from origin, f *frames.Frame, why string) {
	b.counters.rejected.Add(1)
	id, _ := f.Headers.Lookup(HeaderCorrelationID)
	b.sendFailure(from, f.Get(frames.Destination), id, CodeRejected, why)
}

// prepare checks a SEND that was admitted, and returns what carries it out.
func (b *Broker) newOperation(from origin, of destination.Kind, dest string, f *frames.Frame) (operation, error) {
	switch of {
	case destination.User:
		user, own, ok := destination.SplitUser(dest)
		if !ok {
			return operation{}, badDestination(dest, "a SEND to a user needs /user/<user>/<name>")
		}
		key := destination.UserKey(destination.UnescapeSegment(user), own)
		if err := checkLength(key); err != nil {
			return operation{}, err
		}
		m := b.message(from, f, own, key)
		m.ToSession = strings.Clone(f.Get(frames.Session))
		return b.topicOperation(f, m)
	case destination.Queue:
		return b.queueOperation(f, b.message(from, f, dest, dest))
	case destination.App:
		m := b.message(from, f, dest, dest)
		return operation{size: len(m.Body), runAsync: func(done func(error)) { b.route(m, done) }}, nil
	}
	return b.topicOperation(f, b.message(from, f, dest, dest))
}

// publication returns what carries out a SEND to subscribers: at once, or by way
// of a history, which brings it back.
func (b *Broker) topicOperation(f *frames.Frame, m *driver.Message) (operation, error) {
	if h := b.histories.policyOf(m.Key); h != nil {
		return b.storeOperation(f, m, driver.StoreOptions{History: h.Name}, 0, &b.counters.kept)
	}
	return operation{size: len(m.Body), run: func() error { return b.publish(m) }}, nil
}

// message makes the one immutable Message of a SEND.
func (b *Broker) message(from origin, f *frames.Frame, destination, key string) *driver.Message {
	noEcho, _ := f.Headers.Lookup(HeaderNoEcho)
	return &driver.Message{
		ID: b.nextID(), Destination: destination, Key: key,
		User: from.principal.Name, Session: from.session, NoEcho: strings.EqualFold(noEcho, "true"),
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
