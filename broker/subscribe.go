package broker

import (
	"context"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

// flushTimeout bounds how long a SUBSCRIBE waits for its interest to be known.
const flushTimeout = 5 * time.Second

// subscribe handles a SUBSCRIBE.
func (s *Session) subscribe(f *frames.Frame) error {
	sub, err := s.newSubscription(f)
	if err != nil {
		return err
	}
	name := subscriptionName(sub.id, sub.named, sub.shown)
	if _, twice := s.subs[name]; twice {
		return errorf(CodeSubscription, "there is a subscription with id %q already", sub.id)
	}
	if most := s.broker.limits.MaxSubscriptions; most > 0 && len(s.subs) >= most {
		return errorf(CodeTooManySubs, "a connection may have %d subscriptions", most)
	}
	group, err := s.broker.router.add(sub)
	if err != nil {
		return &Error{Code: CodeUnavailable, Message: "the subscription could not be made known to the other nodes", Cause: err}
	}
	if s.subs == nil {
		s.subs = make(map[string]*subscription)
	}
	s.subs[name] = sub
	s.broker.counters.subscriptions.Add(1)
	if _, ok := f.Headers.Lookup(frames.Receipt); ok {
		s.flushInterest(group)
	}
	return nil
}

// flushInterest waits until messages of other nodes would arrive. While the
// relay is away there is nobody to miss: the interest is declared again when it
// is back.
func (s *Session) flushInterest(g *group) {
	if g.confirmed.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(s.broker.ctx, flushTimeout)
	defer cancel()
	if err := s.broker.relay.Flush(ctx); err != nil {
		s.broker.log.Warn("an interest was not confirmed; messages of other nodes may be missed until the relay is back", "destination", g.pattern.String(), "error", err)
		return
	}
	g.confirmed.Store(true)
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
	destination := strings.Clone(f.Get(frames.Destination))
	kind, bad := s.broker.classify(destination)
	if bad != nil {
		return nil, bad
	}
	id, named := f.Headers.Lookup(frames.ID)
	if !named && s.version() > frames.V10 {
		return nil, errorf(CodeMissingHeader, "SUBSCRIBE needs an id header since STOMP 1.1")
	}
	ack, bad := parseAck(f.Get(frames.Ack), s.version())
	if bad != nil {
		return nil, bad
	}
	if _, ok := f.Headers.Lookup("selector"); ok {
		return nil, errorf(CodeBadHeader, "selectors are not supported; subscribe to a narrower destination or pattern")
	}
	asked, err := auth.ParsePattern(destination)
	if err != nil {
		return nil, badDestination(destination, err.Error())
	}
	sub := &subscription{session: s, id: strings.Clone(id), named: named, shown: destination, pattern: asked, ack: ack}
	switch kind {
	case kindTopic, kindUser:
	case kindQueue, kindApp:
		return nil, notAvailable(destination)
	default:
		return nil, badDestination(destination, "clients cannot subscribe to it")
	}
	if !s.principal.Permissions.MaySubscribe(asked) {
		return nil, forbidden(destination, "subscribe")
	}
	if kind == kindUser {
		if sub.pattern, err = auth.ParsePattern(userKey(s.principal.Name, destination)); err != nil {
			return nil, badDestination(destination, err.Error())
		}
	}
	return sub, nil
}

func parseAck(value string, v frames.Version) (ackMode, *Error) {
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
func (s *Session) unsubscribe(f *frames.Frame) error {
	id, named := f.Headers.Lookup(frames.ID)
	if !named && s.version() > frames.V10 {
		return errorf(CodeMissingHeader, "UNSUBSCRIBE needs an id header since STOMP 1.1")
	}
	destination := f.Get(frames.Destination)
	name := subscriptionName(id, named, destination)
	sub := s.subs[name]
	if sub == nil {
		if named {
			return errorf(CodeSubscription, "there is no subscription with id %q", id)
		}
		return errorf(CodeSubscription, "there is no subscription without id to %q", destination)
	}
	delete(s.subs, name)
	s.outbox.closeSubscription(sub)
	s.broker.router.remove(sub)
	s.broker.counters.subscriptions.Add(-1)
	return nil
}
