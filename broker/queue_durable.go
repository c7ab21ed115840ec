package broker

import (
	"context"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// maxDurableID is the longest id of a durable subscription: the store keeps it.
const maxDurableID = 512

// consumeDurable makes a subscription to a topic one that the store remembers
// under the user, the id and the destination: it gets what comes while the client is
// away. Clients of one user that share id and destination share the messages. The
// destination is the one that this SUBSCRIBE may have, so an id gives no way to
// another one.
func (s *Session) consumeDurable(sub *subscription, f *frames.Frame) error {
	for _, header := range []string{HeaderLastEventID, HeaderReplayLast} {
		if _, ok := f.Headers.Lookup(header); ok {
			return errorf(CodeBadHeader, "%s does not go with durable:true, which remembers by itself what was seen", header)
		}
	}
	if isTrue(f, HeaderAutoDelete) {
		return errorf(CodeBadHeader, "auto-delete:true does not go with durable:true, which keeps messages while the client is away")
	}
	if !sub.named || sub.id == "" {
		return errorf(CodeMissingHeader, "a durable subscription needs an id header, by which it is known again")
	}
	if len(sub.id) > maxDurableID {
		return errorf(CodeBadHeader, "the id of a durable subscription has %d bytes; the limit is %d", len(sub.id), maxDurableID)
	}
	history := s.broker.histories.containing(sub.pattern)
	if history == nil || s.broker.history == nil {
		return badDestination(sub.destination, "a durable subscription needs a history that keeps all of it; see history.policies")
	}
	durable := s.durable(sub.id, history.Name, sub.pattern)
	if limit := s.broker.usage.quotas.Load().UserDurables; !s.broker.durables.use(s.user, durable.Name, limit) {
		return s.broker.usage.refuse(limitUserDurables, CodeTooManySubs, "you have the limit of %d durable subscriptions; end some with UNSUBSCRIBE and durable:true, or raise limits.user_durables", limit)
	}
	return s.consumeFrom(&durableQueue{durable}, sub, f)
}

// durable names a durable subscription of the session's user.
func (s *Session) durable(id, history string, pattern destination.Pattern) driver.DurableSubscription {
	user := destination.EscapeSegment(s.principal.Name)
	return driver.DurableSubscription{
		History: history, Pattern: pattern,
		Name: user + "/" + destination.EscapeSegment(id) + pattern.String(), FormerName: user + "/" + id,
	}
}

// removeUnattached removes a durable subscription of an earlier session, which only
// its destination tells from others with the same id.
func (s *Session) removeUnattached(f *frames.Frame, id string) error {
	dest, ok := f.Headers.Lookup(frames.Destination)
	if !ok {
		return errorf(CodeMissingHeader, "UNSUBSCRIBE with durable:true needs the destination header, as the session has no subscription with id %q", id)
	}
	kind, err := s.broker.admission.classify(dest)
	if err != nil {
		return err
	}
	pattern, err := destination.ParseOwnPattern(strings.Clone(dest))
	if kind == destination.User {
		pattern, err = destination.ParsePattern(destination.UserKey(s.principal.Name, dest))
	}
	if err != nil {
		return badDestination(dest, err.Error())
	}
	history := s.broker.histories.containing(pattern)
	if history == nil || s.broker.history == nil {
		return badDestination(dest, "no history keeps it, so there is no durable subscription to it")
	}
	return s.broker.stores.removeDurable(s.user, s.durable(id, history.Name, pattern))
}

// durableQueue draws from a history what a durable subscription has not seen. It has no
// dead letters: what its client cannot handle comes again.
type durableQueue struct{ subscription driver.DurableSubscription }

func (d *durableQueue) key() string { return durableMark + d.subscription.Name }

func (d *durableQueue) open(q *queue) ([]func(), error) {
	ctx, cancel := context.WithTimeout(q.broker.ctx, openTimeout)
	defer cancel()
	from := &feed{maxPull: maxPull}
	reader, err := q.broker.history.OpenDurable(ctx, d.subscription, func(lent driver.Delivery) { q.received(from, lent) })
	if err != nil {
		return nil, err
	}
	from.reader = reader
	return q.feedFrom(from), nil
}

// requeue keeps what comes back for the other consumers of this node, where there are
// some, before what they have not had yet. The store would bring it after that.
func (d *durableQueue) requeue(q *queue, all []*delivery) {
	if q.takeBack(all) {
		return
	}
	for _, lent := range all {
		lent.settle()
		lent.reader.Requeue(lent.Delivery)
	}
}

// reject has the subscription pass over messages. The history has them still.
func (d *durableQueue) reject(q *queue, all []*delivery, done func(error)) {
	for _, lent := range all {
		lent.settle()
		lent.reader.Ack(lent.Delivery, done)
	}
	q.broker.log.Warn("a durable subscription passes over messages that its client rejected; their history keeps them",
		"history", d.subscription.History, "subscription", d.subscription.Name, "messages", len(all), "last", all[len(all)-1].Message.ID)
}

func (d *durableQueue) maxDeliveries() int { return 0 }

func (d *durableQueue) kept() bool { return true }

func (b stores) removeDurable(user string, d driver.DurableSubscription) error {
	ctx, cancel := context.WithTimeout(b.ctx, openTimeout)
	defer cancel()
	if err := b.history.RemoveDurable(ctx, d); err != nil {
		return &Error{Code: CodeUnavailable, Message: "the durable subscription could not be removed at the moment", Cause: err, retryAfter: retryAfter}
	}
	b.durables.remove(user, d.Name)
	return nil
}
