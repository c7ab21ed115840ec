package broker

import (
	"slices"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// serveOrRequest makes a SUBSCRIBE to /app that of an app server, where the principal
// may serve it, and else one request, whose answer comes on the subscription (Spring's
// @SubscribeMapping). It was authorized.
func (s *Session) serveOrRequest(sub *subscription, f *frames.Frame) error {
	switch {
	case s.principal.Permissions.MayServe(sub.pattern):
		return s.consumeFrom(&appQueue{sub.destination, sub.pattern}, sub, f)
	case destination.HasWildcard(sub.destination):
		return forbidden(sub.destination, "serve")
	case !sub.named:
		return errorf(CodeMissingHeader, "a SUBSCRIBE to %s needs an id header, on which its answer comes", sub.destination)
	}
	reply, err := newReply()
	if err != nil {
		return err
	}
	sub.pattern, sub.isReply, sub.isRequest = reply, true, true
	return nil
}

// sendRequest sends the request of a SUBSCRIBE, whose headers go with it.
func (s *Session) sendRequest(sub *subscription, f *frames.Frame) {
	m := s.broker.publisher.message(s.origin(), f, sub.destination, sub.destination)
	m.Headers = m.Headers.Without(frames.ID, HeaderReplyTo).With(HeaderReplyTo, sub.pattern.String())
	s.broker.app.route(m, func(error) {})
}

// serves reports whether the subscription is an app server's.
func (sub *subscription) serves() bool {
	if sub.consumer == nil {
		return false
	}
	_, ok := sub.consumer.source.(*appQueue)
	return ok
}

// appQueue has the requests to a pattern, which its consumers, app servers, answer. It
// has no dead letters: who sent a request learns that it failed.
type appQueue struct {
	name    string
	pattern destination.Pattern
}

func (a *appQueue) key() string { return appMark + a.name }

// open has requests come here, those of other nodes too.
func (a *appQueue) open(q *queue) ([]func(), error) {
	b := q.broker
	withdraw := func() { b.queues.withdraw(q) }
	if b.requestRouter == nil {
		b.queues.serve(a.pattern, q)
		return []func(){withdraw}, nil
	}
	stop, err := b.requestRouter.Serve(a.name, func(m *driver.Message) error {
		if !a.pattern.Match(m.Key) || !q.hasConsumers() {
			return driver.ErrNoAppServer
		}
		return q.offer(newDelivery(m, 1))
	})
	if err != nil {
		return nil, err
	}
	b.queues.serve(a.pattern, q)
	return []func(){stop, withdraw}, nil
}

// requeue gives requests to another app server, as their first one ended with them.
func (a *appQueue) requeue(q *queue, all []*delivery) {
	b := q.broker
	all = slices.DeleteFunc(all, func(d *delivery) bool {
		if d.Count >= maxAppAttempts && !d.untouched {
			d.settle()
			b.app.failOrLog(d.Message, CodeAppFailed, "app servers ended while they had the request")
			return true
		}
		return false
	})
	next := again(all)
	if len(next) == 0 || q.offerFront(next) {
		return
	}
	for _, d := range next {
		var busy error
		other := b.queues.findApp(d.Message.Key)
		if other != nil {
			busy = other.offer(d)
		}
		if other == nil || busy != nil {
			d.settle()
			b.app.routeElsewhere(d.Message, busy, func(error) {})
		}
	}
}

// reject fails requests: who sent them learns that at once.
func (a *appQueue) reject(q *queue, all []*delivery, done func(error)) {
	for _, d := range all {
		d.settle()
		q.broker.app.failOrLog(d.Message, CodeAppFailed, "the app server rejected the request")
		if done != nil {
			done(nil)
		}
	}
}

func (a *appQueue) maxDeliveries() int { return 0 }

func (a *appQueue) kept() bool { return false }
