package broker

import (
	"context"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// neverDead is what durable subscriptions and app servers are like: what their client
// cannot handle comes again, as neither has dead letters.
var neverDead = QueuePolicy{MaxDeliveries: -1}

// maxDurableID is the longest id of a durable subscription: the store keeps it.
const maxDurableID = 512

// consumeDurable makes a subscription to a topic one that the store remembers
// under the user and the id: it gets what comes while the client is away. Clients
// of one user that share an id share the messages.
func (s *Session) consumeDurable(sub *subscription, f *frames.Frame) error {
	for _, header := range []string{HeaderLastEventID, HeaderReplayLast} {
		if _, ok := f.Headers.Lookup(header); ok {
			return errorf(CodeBadHeader, "%s does not go with durable:true, which remembers by itself what was seen", header)
		}
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
	prefetch, err := prefetchOf(f, &s.broker.defaults)
	if err != nil {
		return err
	}
	name := destination.EscapeSegment(s.principal.Name) + "/" + sub.id
	sub.consumer = &consumer{prefetch: prefetch, durable: &driver.DurableSubscription{History: history.Name, Name: name, Pattern: sub.pattern}}
	return nil
}

// openDurable connects the queue to the history. The caller holds opening.
func (q *queue) openDurable(ctx context.Context) error {
	from := &source{maxPull: maxPull}
	reader, err := q.broker.history.OpenDurable(ctx, *q.durable, func(d driver.Delivery) { q.received(from, d) })
	if err != nil {
		return err
	}
	from.reader = reader
	q.setSources(from)
	return nil
}

func (b *Broker) removeDurable(d driver.DurableSubscription) error {
	ctx, cancel := context.WithTimeout(b.ctx, openTimeout)
	defer cancel()
	if err := b.history.RemoveDurable(ctx, d); err != nil {
		return &Error{Code: CodeUnavailable, Message: "the durable subscription could not be removed at the moment", Cause: err, retryAfter: retryAfter}
	}
	return nil
}
