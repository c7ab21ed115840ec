package broker

import (
	"errors"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// origin is on whose behalf something is sent. Over HTTP there is no session.
type origin struct {
	principal *auth.Principal
	session   string
}

func (s *Session) origin() origin { return origin{s.principal, s.id} }

// send handles a SEND: it is checked first, and then carried out at once or at COMMIT.
func (s *Session) send(f *frames.Frame) (outcome, error) {
	b := s.broker
	if limit := b.settings().limits.MessageRate; limit > 0 && !s.rate.take(b.clock.now(), 1, limit, limit) {
		return 0, b.publisher.traceRefused(f, f.Get(frames.Destination), errorf(CodeMessageRate, "more than %d messages a second", limit))
	}
	if err := b.usage.send(s.usage, len(f.Body)); err != nil {
		return 0, b.publisher.traceRefused(f, f.Get(frames.Destination), err)
	}
	if f.Get(frames.Destination) == destination.TokenDestination {
		token := f.Body
		return s.executeOrBuffer(f, operation{run: func() error { return s.refresh(token) }, refreshes: true, size: len(token)})
	}
	if b.interceptors.custom {
		s.flushes.start()
	}
	buffered := s.authorizedSendOf(f)
	target, err := b.admission.authorizeSend(s.origin(), f.Get(frames.Destination), f)
	var rejected *rejection
	switch {
	case errors.As(err, &rejected):
		b.admission.sendRejection(s.origin(), f, rejected.why)
		return outcomeReceipt, nil
	case err != nil:
		return 0, b.publisher.traceRefused(f, f.Get(frames.Destination), err)
	case target.dropped:
		b.counters.rejected.Add(1)
		return outcomeReceipt, nil
	}
	if err := s.replyTo(f); err != nil {
		return 0, b.publisher.traceRefused(f, f.Get(frames.Destination), err)
	}
	op, err := b.publisher.newOperation(s.origin(), target, f)
	if err != nil {
		return 0, err
	}
	b.counters.received.Add(1)
	if buffered != nil {
		buffered.target, op.authorized = target.destination, buffered
		op.size += headerBytes(f.Headers) // which are kept as the body is
	}
	return s.executeOrBuffer(f, op)
}

// operation is a frame that was checked, and is carried out now or at COMMIT. It has
// topic, run or runAsync; without any it is a message that an interceptor dropped.
type operation struct {
	// topic is a message for subscribers that need no more than its publication.
	topic *driver.Message
	run   func() error
	// runAsync is for what ends later: done is called with its error once, maybe before
	// runAsync returns.
	runAsync func(done func(error))
	// runConfirmed is for an ACK, as run is for the rest: the same, with done called once the store
	// has confirmed it.
	runConfirmed func(done func(error))
	// store is set where runAsync would write to a store: a transaction writes all of
	// its messages together instead.
	store *driver.StoreRequest
	// outcome counts what became of a message that was stored with others. It is set
	// together with store.
	outcome func(error) error
	stored  func(error) // ends the span of what a transaction has stored; nil: nothing is traced
	size    int         // of the body, in bytes
	// memory is what it holds until runAsync has called done, in bytes.
	memory int

	// authorized is for a SEND in a transaction.
	authorized *authorizedSend
	// refreshes is for a fresh token: at a COMMIT it counts before all else.
	refreshes bool
}

// executeOrBuffer carries out a frame's operation, or keeps it for the COMMIT.
func (s *Session) executeOrBuffer(f *frames.Frame, op operation) (outcome, error) {
	if name, ok := f.Headers.Lookup(frames.Transaction); ok {
		return outcomeReceipt, s.buffer(name, op)
	}
	return s.execute(op, f.Get(frames.Receipt))
}

// execute carries out an operation.
func (s *Session) execute(op operation, receipt string) (outcome, error) {
	if op.topic != nil {
		s.broker.topics.publish(op.topic, s.flushes)
		return outcomeReceipt, nil
	}
	s.flushes.start() // the rest may wait
	if op.run != nil {
		return outcomeReceipt, op.run()
	}
	done := s.receipts.reserve(receipt, op.memory, op.store != nil).complete
	if op.store != nil {
		s.store(op, done)
	} else {
		op.runAsync(done)
	}
	return outcomePending, nil
}

// sendTarget is where a SEND goes to.
type sendTarget struct {
	kind        destination.Kind
	destination string
	dropped     bool // by an interceptor
}

// authorizeSend checks where a SEND goes to, and asks the interceptors, who may change
// or drop it.
func (b admission) authorizeSend(from origin, dest string, f *frames.Frame) (sendTarget, error) {
	dest = destination.Canonical(dest)
	kind, err := b.sendable(dest)
	if err != nil {
		return sendTarget{}, err
	}
	allowed, passed, err := b.authorize(b.interceptors.send, from, dest, f)
	switch {
	case err != nil:
		return sendTarget{}, err
	case !passed:
		return sendTarget{dropped: true}, nil
	case allowed != dest:
		allowed = destination.Canonical(allowed)
		if kind, err = b.sendable(allowed); err != nil {
			return sendTarget{}, err
		}
	}
	if kind == destination.App {
		err = checkReplyTo(f)
	}
	return sendTarget{kind: kind, destination: allowed}, err
}

// sendable returns the kind of a destination that clients can send to.
func (b admission) sendable(dest string) (destination.Kind, error) {
	kind, err := b.classify(dest)
	switch {
	case err != nil:
		return 0, err
	case kind == destination.TempQueue || kind == destination.Token:
		return 0, badDestination(dest, "clients cannot send to it")
	case destination.HasWildcard(dest):
		return 0, badDestination(dest, "a SEND needs a name without wildcards")
	case destination.IsReserved(dest):
		return 0, badDestination(dest, "names that begin with $ are the broker's own")
	}
	return kind, nil
}

// sendRejection tells a sender that an interceptor took its message for wrong.
func (b admission) sendRejection(from origin, f *frames.Frame, why string) {
	b.counters.rejected.Add(1)
	id, _ := f.Headers.Lookup(HeaderCorrelationID)
	b.app.sendFailure(from, f.Get(frames.Destination), id, CodeRejected, why)
}

// publisher makes operations of SENDs, and carries out those of [Broker.Send].
type publisher struct{ *Broker }

// newOperation checks a SEND that was authorized, and returns what carries it out.
func (b publisher) newOperation(from origin, to sendTarget, f *frames.Frame) (operation, error) {
	if b.tracer != nil {
		return b.tracedOperation(from, to, f)
	}
	return b.makeOperation(from, to, f)
}

func (b publisher) makeOperation(from origin, to sendTarget, f *frames.Frame) (operation, error) {
	dest := to.destination
	if err := checkAskedOfSend(to.kind, f); err != nil {
		return operation{}, err
	}
	switch to.kind {
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
		return b.topics.topicOperation(f, m)
	case destination.Queue:
		m := b.message(from, f, dest, dest)
		if m.NoEcho {
			return operation{}, errNoEcho
		}
		return b.stores.queueOperation(f, m)
	case destination.App:
		m := b.message(from, f, dest, dest)
		if m.NoEcho {
			return operation{}, errNoEcho
		}
		return operation{size: len(m.Body), memory: messageBytes(m), runAsync: func(done func(error)) {
			route := b.step("route", trace.Internal, m)
			b.app.route(m, func(err error) {
				route.end(err)
				done(err)
			})
		}}, nil
	}
	return b.topics.topicOperation(f, b.message(from, f, dest, dest))
}

// errNoEcho: a queue's message or a request has one receiver, so that to leave the sender out
// would lose it.
var errNoEcho = errorf(CodeBadHeader, "no-echo:true goes with topics and users; one consumer gets a message of a queue, and one app server a request, and it may be you")

// topicOperation returns what carries out a SEND to subscribers: at once, or by way
// of a history, which brings it back.
func (b topics) topicOperation(f *frames.Frame, m *driver.Message) (operation, error) {
	if h := b.histories.policyOf(m.Key); h != nil {
		return b.stores.storeOperation(f, m, driver.StoreOptions{History: h.Name}, 0, &b.counters.kept)
	}
	return operation{size: len(m.Body), topic: m}, nil
}

// message makes the one immutable Message of a SEND.
func (b publisher) message(from origin, f *frames.Frame, destination, key string) *driver.Message {
	noEcho, _ := f.Headers.Lookup(HeaderNoEcho)
	headers, stripped := passThrough(f.Headers)
	m := &driver.Message{
		ID: b.nextID(), Destination: destination, Key: key,
		User: from.principal.Name, Session: from.session, NoEcho: strings.EqualFold(noEcho, "true"),
		Timestamp: time.Now().UnixMilli(), Headers: headers, Body: f.Body,
	}
	if stripped > maxStripped {
		detachFrame(m)
	}
	return m
}
