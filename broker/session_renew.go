package broker

import (
	"sync"
	"time"

	"github.com/stompbox/stompbox/auth"
)

// renewFunc returns a principal as it is by what counts now, or why there is none any more.
type renewFunc func(*auth.Principal) (*auth.Principal, error)

// Renewal says what [Broker.Reauthorize] has done.
type Renewal struct {
	// Sessions were asked about. Of them, so many were Ended.
	Sessions, Ended int
	// Revoked are subscriptions that their principals may not have any more.
	Revoked int
	// Busy are sessions that could not be asked about yet, as they wait for a store.
	Busy int
}

func (r *Renewal) add(other Renewal) {
	r.Sessions += other.Sessions
	r.Ended += other.Ended
	r.Revoked += other.Revoked
}

// busyPatience is how long Reauthorize waits for sessions that are in the middle of a frame.
const busyPatience = 5 * time.Second

// Reauthorize has permissions that were taken away, or given, hold for the sessions that
// are open. For each one renew returns its principal as it is now; where it returns an
// error, the session ends with an ERROR. A subscription that the principal may not have
// any more ends, and the session gets a MESSAGE about it on its /user/queue/errors; a
// stream of events ends. A session in the middle of a frame is asked about after it. It is
// to be called after the Authenticator has changed, and is safe for concurrent use.
func (b *Broker) Reauthorize(renew func(*auth.Principal) (*auth.Principal, error)) Renewal {
	f := renewFunc(renew)
	b.renewal.Store(&f) // for streams that are being opened
	var total, late Renewal
	var mu sync.Mutex // guards late and busy
	busy := 0
	done := make(chan struct{}, 1)
	b.registry.each(func(s *Session) {
		if s.handling.TryLock() {
			total.add(s.renewAndUnlock(f))
			return
		}
		mu.Lock()
		busy++
		mu.Unlock()
		go func() {
			s.handling.Lock()
			r := s.renewAndUnlock(f)
			mu.Lock()
			defer mu.Unlock()
			late.add(r)
			if busy--; busy == 0 {
				select {
				case done <- struct{}{}:
				default:
				}
			}
		}()
	})
	patience := time.NewTimer(busyPatience)
	defer patience.Stop()
	for {
		mu.Lock()
		left := busy
		sum := total
		sum.add(late)
		mu.Unlock()
		if sum.Busy = left; left == 0 {
			return sum
		}
		select {
		case <-done:
		case <-patience.C:
			return sum
		}
	}
}

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
	for name, sub := range s.subs {
		if sub.isReply {
			continue // whose reply it is was decided by a SEND
		}
		refused := s.broker.reauthorize(fresh, s, sub)
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
	b.log.Info("a subscription ended, as its permission was taken away", "destination", sub.requestedDestination, "session", s.id, "user", s.user, "remote", s.transport.RemoteAddr())
	b.sendFailure(s.origin(), sub.requestedDestination, "", why.Code, "the subscription "+quoteID(sub.id)+" has ended: "+why.Message)
}

// quoteID is the id of a subscription as texts for clients have it.
func quoteID(id string) string { return `"` + truncate(id, maxQuoted) + `"` }
