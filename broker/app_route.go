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

const (

	// errorsDestination is where a session learns of requests that failed (Spring's
	// convention).
	errorsDestination = "/user/queue/errors"
	// HeaderError is the code of a failure, on a MESSAGE in place of an answer.
	HeaderError = driver.HeaderError
	// HeaderFailed is the destination of the failed request.
	HeaderFailed = "failed-destination"
	// HeaderCorrelationID is repeated on the answer.
	HeaderCorrelationID = "correlation-id"
)

// The codes of failed requests. They do not end the session.
const (
	CodeNoAppServer Code = "no-app-server"
	CodeAppTimeout  Code = "app-timeout"
	CodeAppFailed   Code = "app-failed"
	CodeAppBusy     Code = driver.CodeAppBusy
)

// maxAppAttempts is how often a request is given to app servers that die with it.
const maxAppAttempts = 5

// checkReplyTo refuses a reply-to of a request that is not the session's own: an app
// server would answer there with what it may and the client may not.
func checkReplyTo(f *frames.Frame) error {
	if value, ok := f.Headers.Lookup(HeaderReplyTo); ok && !strings.HasPrefix(value, destination.TempQueuePrefix) {
		return errorf(CodeBadHeader, "reply-to %q: a request is answered to %s<name>", value, destination.TempQueuePrefix)
	}
	return nil
}

// appRouter carries requests to app servers, and answers back.
type appRouter struct{ *Broker }

// route gives a request to a handler or an app server of this node
// or else one elsewhere. It calls taken once, when that is decided: with nil when one
// has it or its sender's session got an error, else with the reason.
func (b appRouter) route(m *driver.Message, taken func(error)) {
	b.counters.requests.Add(1)
	if err := b.pendingRequests.add(m, b.clock.now()+int64(b.settings().appTimeout)); err != nil {
		taken(b.failRequest(m, CodeAppBusy, err.Message))
		return
	}
	if h := b.handlers.find(m.Key); h != nil {
		switch err := h.take(m); {
		case err == nil:
			taken(nil)
			return
		case !errors.Is(err, driver.ErrNoAppServer):
			b.routeElsewhere(m, err, taken)
			return
		}
	}
	var busy error
	if q := b.queues.findApp(m.Key); q != nil {
		if busy = q.offer(newDelivery(m, 1)); busy == nil {
			taken(nil)
			return
		}
	}
	b.routeElsewhere(m, busy, taken)
}

// routeElsewhere gives a request to another node or service. Busy is why app servers
// that there are here have no room.
func (b appRouter) routeElsewhere(m *driver.Message, busy error, taken func(error)) {
	var full *Error
	if errors.As(busy, &full) { // another node would count it just the same
		taken(b.failRequest(m, CodeAppBusy, full.Message))
		return
	}
	none := func() error {
		if errors.Is(busy, errOverShare) {
			return b.failRequest(m, CodeAppBusy, "as many of your requests wait for the app servers of "+m.Key+" as they keep of one user; try again once some are answered")
		}
		if busy != nil {
			return b.failRequest(m, CodeAppBusy, "the app servers of "+m.Key+" have more requests than they can take")
		}
		return b.failRequest(m, CodeNoAppServer, "no app server serves "+m.Key)
	}
	if b.requestRouter == nil {
		taken(none())
		return
	}
	bytes := messageBytes(m)
	if err := b.memory.waiting.take(m.User, bytes); err != nil {
		taken(b.failRequest(m, CodeAppBusy, err.Message))
		return
	}
	b.requestRouter.Request(m, func(answer *driver.Message, err error) {
		b.memory.waiting.give(m.User, bytes)
		switch {
		case errors.Is(err, driver.ErrNoAppServer):
			taken(none())
		case errors.Is(err, driver.ErrQueueFull):
			taken(b.failRequest(m, CodeAppBusy, "the app servers of "+m.Key+" have more requests than they can take"))
		case err != nil:
			b.log.Warn("a request could not be handed on", "destination", m.Key, "session", m.Session, "error", err)
			taken(b.failRequest(m, CodeUnavailable, "the app servers of "+m.Key+" cannot be reached at the moment"))
		case answer != nil:
			b.answer(m, answer.Headers, answer.Body)
			taken(nil)
		default:
			taken(nil)
		}
	})
}

// answer sends the answer to a request, where its sender asked for one. Handlers, webhooks and
// programs on NATS have no more headers passed on than a SEND has.
func (b appRouter) answer(m *driver.Message, headers frames.Headers, body []byte) {
	to, ok := m.Headers.Lookup(HeaderReplyTo)
	if !ok {
		return
	}
	kept, _ := passThrough(headers)
	kept = kept.Without(HeaderCorrelationID, HeaderReplyTo)
	if id, ok := m.Headers.Lookup(HeaderCorrelationID); ok {
		kept = kept.With(HeaderCorrelationID, id)
	}
	b.topics.publish(&driver.Message{ID: b.nextID(), Destination: to, Key: to, Timestamp: time.Now().UnixMilli(), Headers: kept, Body: body}, nil)
}

// failRequest reports to the sender of a request that it failed: where the answer was to
// come, or else on the session's /user/queue/errors. Where there is no session it
// returns the error for the caller to report.
func (b appRouter) failRequest(m *driver.Message, code Code, why string) error {
	b.counters.requestsFailed.Add(1)
	if _, ok := m.Headers.Lookup(HeaderReplyTo); ok {
		b.answer(m, failureHeaders(m.Key, code, why), []byte(why))
		return nil
	}
	if m.Session == "" {
		return errorf(code, "%s", why)
	}
	b.sendFailure(origin{&auth.Principal{Name: m.User}, m.Session}, m.Key, correlationOf(m), code, why)
	return nil
}

// failOrLog is failRequest for a request that was taken already: without a session the
// log has the failure.
func (b appRouter) failOrLog(m *driver.Message, code Code, why string) {
	if err := b.failRequest(m, code, why); err != nil {
		b.log.Warn("a request failed, and there is no session that could learn it", "destination", m.Key, "user", m.User, "code", string(code), "error", why)
	}
}

// sendFailure reports to a session, on its /user/queue/errors, that something
// failed which it had sent. The correlation id is the message's, or "".
func (b appRouter) sendFailure(to origin, failed, correlation string, code Code, why string) {
	headers := failureHeaders(failed, code, why)
	if correlation != "" {
		headers = headers.With(HeaderCorrelationID, correlation)
	}
	b.topics.publish(&driver.Message{
		ID: b.nextID(), Destination: errorsDestination, Key: destination.UserKey(to.principal.Name, errorsDestination), ToSession: to.session,
		Timestamp: time.Now().UnixMilli(), Headers: headers, Body: []byte(why),
	}, nil)
}

func failureHeaders(failed string, code Code, why string) frames.Headers {
	return frames.Headers{
		{Name: HeaderError, Value: string(code)}, {Name: HeaderCode, Value: string(code)}, {Name: frames.MessageHeader, Value: why},
		{Name: HeaderFailed, Value: strings.Clone(failed)}, {Name: frames.ContentType, Value: "text/plain"},
	}
}
