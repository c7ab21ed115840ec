package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// Interceptor sees SENDs and SUBSCRIBEs before the broker executes them, like HTTP middleware:
// each function gets the next ActionFunc and returns one that wraps it. Either function may be
// nil. The returned functions are called concurrently, by the goroutines that read connections,
// so a slow one delays its client. A panic ends only the client's session.
//
// Next calls the next interceptor. The last one is the broker's own, which checks the permissions
// of the principal.
//
//   - To refuse, return an error in place of calling next. An [*Error] is shown as it
//     is; the text of any other is what the client reads, under the code forbidden.
//     The session ends, except for a SEND with an error of [Reject].
//   - To change a frame, change the [Action] before calling next, which checks what it
//     has become.
//   - To let through what the permissions do not grant, set [Action.Permitted].
//   - A SEND whose interceptor returns nil and has not called next is dropped, and its
//     client learns nothing of that. A SUBSCRIBE is refused then.
//
// Interceptors do not see SENDs to /session/token, which contain a secret.
type Interceptor struct {
	Send      func(next ActionFunc) ActionFunc
	Subscribe func(next ActionFunc) ActionFunc
}

// ActionFunc lets an action through, or returns why not.
type ActionFunc func(ctx context.Context, a *Action) error

// Action is a SEND or SUBSCRIBE that a client requests over STOMP, as a stream of events, or over
// HTTP. It is valid until the function that received it returns.
type Action struct {
	// Principal is the sender or subscriber.
	Principal *auth.Principal
	// Session is the session's id, or "" if there is none.
	Session string
	// Destination is that of the frame, or a pattern in a SUBSCRIBE.
	Destination string
	// Headers are all headers of the frame, including the destination as the client wrote it. The
	// broker ignores changes to headers that it sets itself.
	Headers frames.Headers
	// Body is the body of a SEND. An interceptor may replace it, but must not modify its bytes.
	Body []byte
	// Permitted lets the action through even if the principal has no permission for it.
	Permitted bool
	// Renewed is set after a session got a fresh token, when one of its subscriptions is checked
	// again, without headers, or a SEND in a transaction at its COMMIT. Changes have no effect
	// then. If the action is refused, dropped or sent to another destination than before, the
	// session ends.
	Renewed bool

	broker *Broker
	passed bool
}

// Reject returns an error that refuses a SEND without ending the sender's session. The sender
// gets a MESSAGE with this text on /user/queue/errors.
func Reject(why string) error { return &rejection{why} }

type rejection struct{ why string }

func (r *rejection) Error() string { return r.why }

// CodeRejected is the code of a SEND that an [Interceptor] rejected.
const CodeRejected Code = "rejected"

// interceptorChain are the interceptors as they stand before what the broker does.
type interceptorChain struct {
	send, subscribe ActionFunc
	custom          bool // there are some in addition to the permissions
}

// newInterceptorChain puts the interceptors in their order, and the permissions after them.
func newInterceptorChain(all []Interceptor) interceptorChain {
	g := interceptorChain{terminal, terminal, len(all) > 0}
	for i := len(all); i >= 0; i-- {
		interceptor := permissions
		if i < len(all) {
			interceptor = all[i]
		}
		if interceptor.Send != nil {
			g.send = interceptor.Send(g.send)
		}
		if interceptor.Subscribe != nil {
			g.subscribe = interceptor.Subscribe(g.subscribe)
		}
	}
	if len(all) > 0 {
		g.send, g.subscribe = recoverPanics(g.send), recoverPanics(g.subscribe)
	}
	return g
}

func terminal(_ context.Context, a *Action) error {
	a.passed = true
	return nil
}

// recoverPanics turns a panic into an error.
func recoverPanics(next ActionFunc) ActionFunc {
	return func(ctx context.Context, a *Action) (err error) {
		defer func() {
			if p := recover(); p != nil {
				a.broker.log.Error("an interceptor panicked", "destination", a.Destination, "session", a.Session, "panic", p, "stack", string(debug.Stack()))
				err = &Error{Code: CodeUnavailable, Message: "the broker could not do that; its log says why", Cause: fmt.Errorf("panic: %v", p)}
			}
		}()
		return next(ctx, a)
	}
}

// permissions refuse what the principal was not granted.
var permissions = Interceptor{
	Send: func(next ActionFunc) ActionFunc {
		return func(ctx context.Context, a *Action) error {
			// A client that knows a reply token was given it to answer.
			if !a.Permitted && !a.Principal.Permissions.MaySend(a.Destination) && !strings.HasPrefix(a.Destination, destination.ReplyPrefix) {
				return forbidden(a.Destination, "send")
			}
			return next(ctx, a)
		}
	},
	Subscribe: func(next ActionFunc) ActionFunc {
		return func(ctx context.Context, a *Action) error {
			if !a.Permitted {
				if err := a.broker.admission.maySubscribe(a.Principal, a.Destination); err != nil {
					return err
				}
			}
			return next(ctx, a)
		}
	},
}

// maySubscribe says whether a principal has the permission for a SUBSCRIBE: to
// subscribe, or for /app to serve or to ask.
func (b admission) maySubscribe(p *auth.Principal, dest string) error {
	asked, err := destination.ParseOwnPattern(dest)
	if err != nil {
		return badDestination(dest, err.Error())
	}
	switch {
	case strings.HasPrefix(dest, destination.AppPrefix):
		switch {
		case p.Permissions.MayServe(asked):
			return nil
		case destination.HasWildcard(dest):
			return forbidden(dest, "serve")
		case !p.Permissions.MaySend(dest):
			return forbidden(dest, "serve or send")
		}
		return nil
	case destination.IsReserved(dest):
		if asked, err = b.presence.parseTopic(dest); err != nil {
			return err
		}
	}
	if !p.Permissions.MaySubscribe(asked) {
		return forbidden(dest, "subscribe")
	}
	return nil
}

var actions = sync.Pool{New: func() any { return new(Action) }}

// authorize asks the interceptors about a frame, and puts what they made of it back into
// the frame. It returns the destination that it is for, and whether it goes on.
func (b admission) authorize(gate ActionFunc, from origin, destination string, f *frames.Frame) (string, bool, error) {
	a := actions.Get().(*Action)
	defer func() {
		*a = Action{}
		actions.Put(a)
	}()
	*a = Action{Principal: from.principal, Session: from.session, Destination: destination, Headers: f.Headers, Body: f.Body, broker: b.Broker}
	if err := gate(b.ctx, a); err != nil {
		return "", false, refusal(err)
	}
	f.Headers, f.Body = a.Headers, a.Body
	return a.Destination, a.passed, nil
}

// authorizeSubscribe asks the interceptors about a SUBSCRIBE, who may change where it
// goes to.
func (s *Session) authorizeSubscribe(asked string, kind destination.Kind, f *frames.Frame) (string, destination.Kind, error) {
	if err := subscribable(kind, asked); err != nil {
		return "", 0, err
	}
	allowed, passed, err := s.broker.admission.authorize(s.broker.interceptors.subscribe, s.origin(), asked, f)
	var rejected *rejection
	switch {
	case errors.As(err, &rejected):
		return "", 0, &Error{Code: CodeForbidden, Message: rejected.why}
	case err != nil:
		return "", 0, err
	case !passed:
		return "", 0, forbidden(asked, "subscribe")
	case allowed == asked:
		return asked, kind, nil
	}
	kind, err = s.broker.admission.classify(allowed)
	if err != nil {
		return "", 0, err
	}
	return strings.Clone(allowed), kind, subscribable(kind, allowed)
}

// reauthorize asks again about a subscription that there is, for a fresh principal.
func (b admission) reauthorize(p *auth.Principal, s *Session, sub *subscription) error {
	a := &Action{Principal: p, Session: s.id, Destination: sub.requestedDestination, Renewed: true, broker: b.Broker}
	if err := b.interceptors.subscribe(b.ctx, a); err != nil {
		return refusal(err)
	}
	if !a.passed || a.Destination != sub.destination {
		return forbidden(sub.requestedDestination, "subscribe")
	}
	if sub.serves() && !p.Permissions.MayServe(sub.pattern) {
		return forbidden(sub.destination, "serve") // it could now only ask
	}
	return nil
}

// refusal is an interceptor's error as the session has it.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	var own *Error
	var rejected *rejection
	if errors.As(err, &own) || errors.As(err, &rejected) {
		return err
	}
	return &Error{Code: CodeForbidden, Message: err.Error()}
}
