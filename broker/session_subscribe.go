package broker

import (
	"strings"
	"time"
	"unique"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// ackMode is the ack header of a SUBSCRIBE.
type ackMode uint8

const (
	ackAuto ackMode = iota
	ackClient
	ackIndividual
)

func (a ackMode) String() string {
	return [...]string{"auto", "client", "client-individual"}[a]
}

// subscription is one SUBSCRIBE of a session. What is small is together, since there
// are many of them.
type subscription struct {
	session              *Session
	id                   string // as the client named it; "" in 1.0 without id
	requestedDestination string // the destination as the client wrote it
	destination          string // the same, or what an interceptor made of it
	pattern              destination.Pattern

	place        string  // the name in the ids that it reads; see placeName
	serial       uint64  // its number in the session, for the ack header of topics' messages
	eventIDIndex int     // which of a stream's destinations it is
	index        int     // in its group, under the group's lock
	named        bool    // the client gave an id, so MESSAGE carries it
	ack          ackMode // as the client wants to acknowledge
	isReply      bool    // made by a reply-to header, or by a request
	isRequest    bool    // a SUBSCRIBE that is one request
	closed       bool    // under the outbox's lock: nothing is pushed any more
	gap          bool    // the same: something before the next live message is missing; the gap of a replay is before older ones

	// form is the encoding of topics' messages for this subscription: equal ones are one
	// value, so that a fan-out compares a word for each subscriber.
	form unique.Handle[encoding]

	consumer *consumer // of queues and durable subscriptions alone
	replay   *replay   // where the SUBSCRIBE asked for the past

	unacked unacked // of ackClient and ackIndividual, under the session's lock
}

// subscribe handles a SUBSCRIBE.
func (s *Session) subscribe(f *frames.Frame) (outcome, error) {
	sub, err := s.newSubscription(f)
	if err != nil {
		return 0, err
	}
	group, err := s.attach(subscriptionName(sub.id, sub.named, sub.destination), sub)
	if err != nil {
		return 0, err
	}
	if _, ok := f.Headers.Lookup(frames.Receipt); ok {
		if group != nil {
			s.flushInterest(group)
		} else if !sub.consumer.source.kept() {
			s.broker.topics.flush(sub.destination)
		}
	}
	if sub.isRequest {
		s.flushInterest(group)
		s.confirm(f) // before the answer
		s.sendRequest(sub, f)
		return outcomeConfirmed, nil
	}
	if destination.IsReserved(sub.destination) {
		s.confirm(f) // before the list
		s.broker.presence.sendSnapshot(sub)
		return outcomeConfirmed, nil
	}
	switch {
	case sub.replay == nil:
		return outcomeReceipt, nil
	case sub.replay.live && sub.replay.incomplete:
		s.confirm(f, driver.HeaderReplay, "incomplete") // nothing keeps what was missed
	case sub.replay.live:
		return outcomeReceipt, nil
	case sub.replay.fromNow:
		s.beginNow(sub, group)
	default:
		s.startReplay(sub, group)
	}
	return outcomeConfirmed, nil
}

// attach makes a subscription one of the session's, and known to the router or
// to its queue. The group is the router's.
func (s *Session) attach(name string, sub *subscription) (*group, error) {
	if s.subs.get(name) != nil {
		return nil, errorf(CodeSubscription, "there is a subscription with id %q already", sub.id)
	}
	if limit := s.broker.settings().limits.MaxSubscriptions; limit > 0 && s.subs.len()+len(s.retired) >= limit {
		return nil, errorf(CodeTooManySubs, "a connection may have %d subscriptions", limit)
	}
	if err := s.awaitSubscribeRate(); err != nil {
		return nil, err
	}
	bytes := subscriptionBytes(sub)
	if err := s.subscriptionBytes.add(bytes); err != nil {
		return nil, err
	}
	if err := s.broker.usage.subscribe(s.usage); err != nil {
		s.subscriptionBytes.sub(bytes)
		return nil, err
	}
	sub.unacked.held = &s.held
	s.serials++
	sub.serial = s.serials // before anything is delivered
	joined, err := s.connectSubscription(name, sub)
	if err != nil {
		s.broker.usage.unsubscribe(s.usage, 1)
		s.subscriptionBytes.sub(bytes)
		return nil, err
	}
	s.mu.Lock()
	s.subs.set(name, sub)
	s.mu.Unlock()
	s.broker.presence.joined(sub)
	s.broker.counters.subscriptions.Add(1)
	return joined, nil
}

// awaitSubscribeRate waits where the session's user subscribes too fast, which keeps the
// session from being read. Where that would be long it returns an error.
func (s *Session) awaitSubscribeRate() error {
	wait, err := s.broker.usage.waitToSubscribe(s.usage, s.broker.incomingPatience)
	if err != nil {
		return err
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.broker.ctx.Done():
		}
	}
	return nil
}

const (
	// subscriptionOverhead and wordOverhead are what a subscription and each word of its
	// destination take in addition to their text, about, here and in the server of the relay.
	subscriptionOverhead = 1024
	wordOverhead         = 256
	// freeSubscriptionBytes is what a connection has of subscriptions before they count.
	freeSubscriptionBytes = 8 << 10
)

// subscriptionBytes is what a subscription takes, about. Its id is kept twice, and its
// destination here, in the router and in the server of the relay.
func subscriptionBytes(sub *subscription) int {
	n := subscriptionOverhead + 2*len(sub.id) + len(sub.requestedDestination) + 3*len(sub.destination)
	return n + wordOverhead*len(sub.pattern.Words())
}

// connectSubscription makes a subscription known to its queue or to the router.
func (s *Session) connectSubscription(name string, sub *subscription) (*group, error) {
	if c := sub.consumer; c != nil {
		acquired, refused := s.broker.queues.acquire(s.broker, s.user, sub.destination, c.source)
		if refused != nil {
			return nil, refused
		}
		c.queue = acquired
		_, durable := c.source.(*durableQueue)
		if durable {
			c.pauses++
		}
		if err := c.queue.join(sub); err != nil {
			s.broker.queues.release(c.queue)
			return nil, &Error{Code: CodeUnavailable, Message: "destination \"" + sub.destination + "\": the queue cannot be consumed at the moment", Cause: err, retryAfter: retryAfter}
		}
		if old := s.retired[name]; old != nil {
			s.mu.Lock()
			delete(s.retired, name) // its id is taken again, so no ACK can name its messages
			s.mu.Unlock()
			s.detach(old)
		}
		if durable {
			s.broker.takeovers.takeOver(c.queue, sub)
		}
		return nil, nil
	}
	sub.form = unique.Make(sub.encoding())
	joined, err := s.broker.router.add(sub)
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Message: "the subscription could not be made known to the other nodes", Cause: err, retryAfter: retryAfter}
	}
	return joined, nil
}

// flushInterest waits until messages of other nodes would arrive. While the
// relay is away there is nothing to miss: the interest is declared again when it
// is back.
func (s *Session) flushInterest(g *group) {
	if g.confirmed.Load() {
		return
	}
	if s.broker.topics.flush(g.pattern.String()) {
		g.confirmed.Store(true)
	}
}

// subscriptionName is how a session finds a subscription: by id, or in 1.0 by
// destination when there is no id.
func subscriptionName(id string, named bool, destination string) string {
	if named {
		return "#" + id
	}
	return destination
}

// newSubscription checks a SUBSCRIBE frame completely.
func (s *Session) newSubscription(f *frames.Frame) (*subscription, error) {
	dest := strings.Clone(f.Get(frames.Destination))
	kind, err := s.broker.admission.classify(dest)
	if err != nil {
		return nil, err
	}
	id, named := f.Headers.Lookup(frames.ID)
	if !named && s.version() > frames.V10 {
		return nil, errorf(CodeMissingHeader, "SUBSCRIBE needs an id header since STOMP 1.1")
	}
	ack, err := parseAck(f.Get(frames.Ack), s.version())
	if err != nil {
		return nil, err
	}
	requested := dest
	dest, kind, err = s.authorizeSubscribe(requested, kind, f)
	if err != nil {
		return nil, err
	}
	if err := s.checkAsked(kind, f); err != nil {
		return nil, err
	}
	pattern, err := destination.ParseOwnPattern(dest)
	if err != nil {
		return nil, badDestination(dest, err.Error())
	}
	if err := s.broker.admission.checkPattern(pattern); err != nil {
		return nil, err
	}
	sub := &subscription{session: s, id: strings.Clone(id), named: named, requestedDestination: requested, destination: dest, pattern: pattern, ack: ack}
	switch kind {
	case destination.Topic, destination.User:
		if _, err := parsePrefetch(f, &s.broker.settings().queues); err != nil {
			return nil, err // it means nothing here, but is to be a number
		}
	case destination.Queue:
		if s.broker.store == nil {
			return nil, noStore(dest)
		}
		if destination.HasWildcard(dest) {
			return nil, badDestination(dest, "a queue cannot be subscribed to by a pattern; name one queue")
		}
	case destination.App:
		return sub, s.serveOrRequest(sub, f)
	}
	if kind == destination.Queue {
		return sub, s.consume(sub, f)
	}
	if kind == destination.User {
		key := destination.UserKey(s.principal.Name, dest)
		if err := checkLength(key); err != nil {
			return nil, err
		}
		if sub.pattern, err = destination.ParsePattern(key); err != nil {
			return nil, badDestination(dest, err.Error())
		}
	}
	if isTrue(f, HeaderDurable) {
		sub.place = durablePlace
		return sub, s.consumeDurable(sub, f)
	}
	return sub, s.prepareReplay(sub, f)
}

// subscribable refuses the kinds of destinations that have no subscribers.
func subscribable(kind destination.Kind, dest string) error {
	switch kind {
	case destination.TempQueue:
		return badDestination(dest, "name it in the reply-to header of a SEND; the subscription is made with that")
	case destination.Reply, destination.Token:
		return badDestination(dest, "clients cannot subscribe to it")
	}
	return nil
}

func parseAck(value string, v frames.Version) (ackMode, error) {
	switch {
	case value == "" || value == "auto":
		return ackAuto, nil
	case value == "client":
		return ackClient, nil
	case value == "client-individual" && v > frames.V10:
		return ackIndividual, nil
	}
	if v == frames.V10 {
		return 0, errorf(CodeBadHeader, "ack mode %q is not defined in STOMP 1.0; use auto or client", value)
	}
	return 0, errorf(CodeBadHeader, "ack mode %q is not defined; use auto, client or client-individual", value)
}

// unsubscribe handles an UNSUBSCRIBE. After it nothing more of the subscription
// is queued, so nothing of it follows the RECEIPT.
func (s *Session) unsubscribe(f *frames.Frame) (outcome, error) {
	id, named := f.Headers.Lookup(frames.ID)
	if !named && s.version() > frames.V10 {
		return 0, errorf(CodeMissingHeader, "UNSUBSCRIBE needs an id header since STOMP 1.1")
	}
	destination := f.Get(frames.Destination)
	name := subscriptionName(id, named, destination)
	sub := s.subs.get(name)
	if sub == nil {
		if named && isTrue(f, HeaderDurable) {
			return outcomeReceipt, s.removeUnattached(f, id)
		}
		// It ended already, or is one that a relay kept to itself.
		s.countStale(f)
		return outcomeReceipt, nil
	}
	s.endSubscription(name, sub)
	if sub.consumer == nil {
		return outcomeReceipt, nil
	}
	if durable, ok := sub.consumer.source.(*durableQueue); ok && isTrue(f, HeaderDurable) {
		return outcomeReceipt, s.broker.stores.removeDurable(s.user, durable.subscription)
	}
	return outcomeReceipt, nil
}

// endSubscription has the session get nothing more of a subscription. What it holds of a
// queue it can still acknowledge.
func (s *Session) endSubscription(name string, sub *subscription) {
	s.mu.Lock()
	s.subs.remove(name)
	s.mu.Unlock()
	s.outbox.closeSubscription(sub)
	s.broker.counters.subscriptions.Add(-1)
	s.broker.usage.unsubscribe(s.usage, 1)
	if sub.consumer == nil {
		s.detach(sub)
		return
	}
	s.retire(name, sub)
}

// retire ends a subscription to a queue, but keeps it while the client holds
// messages of it: what it was given it can still acknowledge, and what it does
// not goes back when the session ends.
func (s *Session) retire(name string, sub *subscription) {
	sub.consumer.queue.retire(sub.consumer)
	s.mu.Lock()
	held := len(sub.unacked.open)
	s.mu.Unlock()
	if held == 0 {
		s.detach(sub)
		return
	}
	s.mu.Lock()
	if s.retired == nil {
		s.retired = make(map[string]*subscription)
	}
	old := s.retired[name]
	s.retired[name] = sub
	s.mu.Unlock()
	if old != nil {
		s.detach(old)
	}
}
