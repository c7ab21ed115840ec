package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/logattr"
	"github.com/stompbox/stompbox/internal/problem"
)

// maxRates is how many rates are remembered before those are forgotten that have sent
// nothing for a second.
const maxRates = 10_000

// rates hold each user, or each address, to so many messages or requests a second. It is safe
// for concurrent use.
type rates struct {
	mu     sync.Mutex // guards the following
	byPeer map[string]*rate.Limiter
}

// wait returns after how long a peer may send n messages, and takes them from the rate
// where that is at once. A batch that is larger than a second's messages may go when a
// whole second's are free, and the peer then waits for the rest. A limit of 0 allows all.
func (s *rates) wait(peer string, n, perSecond int) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.limiterLocked(peer, perSecond, now)
	first := limiter.ReserveN(now, min(n, perSecond))
	if delay := first.DelayFrom(now); delay > 0 {
		first.CancelAt(now)
		return delay
	}
	chargeLocked(limiter, now, n-perSecond)
	return 0
}

// charge takes n from the rate of a peer, whatever is left of it.
func (s *rates) charge(peer string, n, perSecond int) {
	if perSecond <= 0 || n <= 0 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	chargeLocked(s.limiterLocked(peer, perSecond, now), now, n)
}

// chargeLocked takes no more at a time than a second's, which a limiter would refuse.
func chargeLocked(limiter *rate.Limiter, now time.Time, n int) {
	perSecond := limiter.Burst()
	for ; n > 0; n -= perSecond {
		limiter.ReserveN(now, min(n, perSecond))
	}
}

// owed returns how long it takes until a peer has no more taken from its rate than there was.
func (s *rates) owed(peer string, perSecond int) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPeer[peer] == nil {
		return 0
	}
	tokens := s.limiterLocked(peer, perSecond, now).TokensAt(now)
	return time.Duration(max(-tokens, 0) / float64(perSecond) * float64(time.Second))
}

// limiterLocked returns the rate of a peer, which is full at first.
func (s *rates) limiterLocked(peer string, perSecond int, now time.Time) *rate.Limiter {
	limiter := s.byPeer[peer]
	switch {
	case limiter == nil:
		s.makeRoomLocked(now)
		limiter = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		if s.byPeer == nil {
			s.byPeer = make(map[string]*rate.Limiter)
		}
		s.byPeer[peer] = limiter
	case limiter.Burst() != perSecond: // the configuration was reloaded
		limiter.SetLimitAt(now, rate.Limit(perSecond))
		limiter.SetBurstAt(now, perSecond)
	}
	return limiter
}

// makeRoomLocked drops the rates that are full again, or a tenth of all where too many are not.
func (s *rates) makeRoomLocked(now time.Time) {
	if len(s.byPeer) < maxRates {
		return
	}
	for peer, limiter := range s.byPeer {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(s.byPeer, peer)
		}
	}
	for peer := range s.byPeer {
		if len(s.byPeer) < maxRates*9/10 {
			return
		}
		delete(s.byPeer, peer)
	}
}

// limitUser refuses the request of a user who makes too many, or has had too many refused.
// Where it does not count, as those that send messages, only the latter is looked at.
func (a *api) limitUser(r *http.Request, user string, counts bool) error {
	limit := a.broker.Quotas().UserRequestRate
	return a.tooMany(r, user, "user_request_rate", limit, a.userRates.next(user, counts, limit))
}

// limitAddress does the same for an address, before credentials are checked.
func (a *api) limitAddress(r *http.Request, counts bool) error {
	limit := a.broker.Quotas().AddressRequestRate
	return a.tooMany(r, "", "address_request_rate", limit, a.addressRates.next(clientaddr.Network(r.RemoteAddr), counts, limit))
}

// next returns after how long a peer may make its next request.
func (s *rates) next(peer string, counts bool, perSecond int) time.Duration {
	if counts {
		return s.wait(peer, 1, perSecond)
	}
	return s.owed(peer, perSecond)
}

// refusedPiece is how much of the body of a request that is refused counts as one more request.
const refusedPiece = 64 << 10

// chargeRefusal has a request to send messages that is refused count as a request of its user
// and address, and as more of them where much of it was read: it is dear, and cheap to make.
func (a *api) chargeRefusal(r request, err error) {
	var p *problem.Details
	if !errors.As(err, &p) || p.Status >= http.StatusInternalServerError {
		return
	}
	n := r.body.bytes / refusedPiece
	switch p.Status {
	case http.StatusConflict, http.StatusTooManyRequests: // which are for trying again
		return
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		n++
	}
	quotas := a.broker.Quotas()
	a.userRates.charge(r.principal.Name, n, quotas.UserRequestRate)
	a.addressRates.charge(clientaddr.Network(r.RemoteAddr), n, quotas.AddressRequestRate)
}

// countLimit counts and logs that a limit refused a request. User is "" where it was not looked at.
func (a *api) countLimit(r *http.Request, user, limit string) {
	a.broker.CountLimit(limit)
	a.limited.Write(a.log, slog.LevelInfo, "a request was refused, since a limit was reached", "limit", limit, "user", user, "remote", r.RemoteAddr, "method", r.Method, "path", logattr.Short(r.URL.Path))
}

// tooMany is the problem of a request that has to wait, or nil.
func (a *api) tooMany(r *http.Request, user, key string, limit int, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	a.countLimit(r, user, key)
	p := problem.New(http.StatusTooManyRequests, fmt.Sprintf("more than %d requests a second; see limits.%s", limit, key))
	p.Code, p.RetryAfter = broker.CodeMessageRate, wait
	return p
}
