package broker

import (
	"time"

	"github.com/stompbox/stompbox/auth"
)

// renewFunc returns a principal as it is by what counts now, or why there is none any more.
type renewFunc func(*auth.Principal) (*auth.Principal, error)

// Renewal is the result of [Broker.Reauthorize].
type Renewal struct {
	// Sessions is the number of checked sessions, and Ended the number that ended.
	Sessions, Ended int
	// Revoked is the number of subscriptions that are no longer permitted.
	Revoked int
	// Busy is the number of sessions that could not be checked yet because they wait for a store.
	Busy int
}

func (r *Renewal) add(other Renewal) {
	r.Sessions += other.Sessions
	r.Ended += other.Ended
	r.Revoked += other.Revoked
}

// busyPatience is how long Reauthorize waits for sessions that are in the middle of a frame.
const busyPatience = 5 * time.Second

// renewAndUnlock holds the session to what counts now. The caller has locked handling.
func (s *Session) renewAndUnlock(renew renewFunc) (r Renewal) {
	defer s.handling.Unlock()
	if s.failed || state(s.state.Load()) != stateConnected {
		return r
	}
	r.Sessions = 1
	fresh, err := renew(s.principal)
	if err != nil {
		r.Ended = 1
		s.fail(nil, false, &Error{Code: CodeUnauthenticated, Message: "your credentials are not accepted any more; connect with others", Cause: err})
		return r
	}
	s.setPrincipal(fresh)
	for name, sub := range s.subs.all() {
		if sub.isReply {
			continue // whose reply it is was decided by a SEND
		}
		refused := s.broker.admission.reauthorize(fresh, s, sub)
		if refused == nil {
			continue
		}
		r.Revoked++
		if s.stream {
			r.Ended = 1
			s.fail(nil, false, refused)
			return r
		}
		s.revoke(name, sub, protocolError(refused))
	}
	return r
}

// revoke ends a subscription that its principal may not have any more.
func (s *Session) revoke(name string, sub *subscription, why *Error) {
	b := s.broker
	s.endSubscription(name, sub)
	b.counters.revoked.Add(1)
	s.logInfo("a subscription ended, as its permission was taken away", []any{"destination", sub.requestedDestination, "session", s.id, "user", s.user, "remote", s.transport.RemoteAddr()})
	b.app.sendFailure(s.origin(), sub.requestedDestination, "", why.Code, "the subscription "+quoteID(sub.id)+" has ended: "+why.Message)
}

// quoteID is the id of a subscription as texts for clients have it.
func quoteID(id string) string { return `"` + truncate(id, maxQuoted) + `"` }
