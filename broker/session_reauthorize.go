package broker

import (
	"errors"
	"slices"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// authorizedSend is what it takes to ask the interceptors again about a SEND in a
// transaction, for the principal of a fresh token.
type authorizedSend struct {
	principal *auth.Principal // whose permissions were asked for at first
	requested string          // the destination that the client wrote
	target    string          // what the interceptors made of it
	headers   frames.Headers
	body      []byte
}

// authorizedSendOf keeps what a SEND in a transaction asks for, before the interceptors
// change it. For any other it returns nil.
func (s *Session) authorizedSendOf(f *frames.Frame) *authorizedSend {
	if _, buffered := f.Headers.Lookup(frames.Transaction); !buffered {
		return nil
	}
	return &authorizedSend{principal: s.principal, requested: destination.Canonical(f.Get(frames.Destination)), headers: slices.Clone(f.Headers), body: f.Body}
}

// authorizeCommit takes the fresh tokens in a transaction, and asks again about the SENDs
// of another principal than the session's.
func (s *Session) authorizeCommit(t *transaction) error {
	for _, op := range t.operations {
		if op.refreshes {
			if err := op.run(); err != nil {
				return err
			}
		}
	}
	for _, op := range t.operations {
		if op.authorized != nil && op.authorized.principal != s.principal {
			if err := s.reauthorizeSend(op.authorized); err != nil {
				return err
			}
		}
	}
	return nil
}

// reauthorizeSend asks again about a SEND that the session's principal before was allowed.
func (s *Session) reauthorizeSend(before *authorizedSend) error {
	a := &Action{
		Principal: s.principal, Session: s.id, Destination: before.requested, Headers: slices.Clone(before.headers), Body: before.body,
		Renewed: true, broker: s.broker,
	}
	err := refusal(s.broker.interceptors.send(s.broker.ctx, a))
	var rejected *rejection
	switch {
	case errors.As(err, &rejected):
		return &Error{Code: CodeForbidden, Message: rejected.why}
	case err != nil:
		return err
	case !a.passed || destination.Canonical(a.Destination) != before.target:
		return forbidden(before.requested, "send")
	}
	return nil
}

// headerBytes is how much room the headers of a frame take.
func headerBytes(headers frames.Headers) (n int) {
	for _, h := range headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}
