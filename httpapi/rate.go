package httpapi

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
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
	first := limiter.ReserveN(now, min(n, perSecond))
	if delay := first.DelayFrom(now); delay > 0 {
		first.CancelAt(now)
		return delay
	}
	for n -= perSecond; n > 0; n -= perSecond {
		limiter.ReserveN(now, min(n, perSecond))
	}
	return 0
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

// limitUser refuses the request of a user who makes too many.
func (a *api) limitUser(user string) error {
	limit := a.broker.Quotas().UserRequestRate
	return a.tooMany("user_request_rate", limit, a.userRates.wait(user, 1, limit))
}

// limitAddress refuses a request from an address that makes too many, before its credentials are
// checked.
func (a *api) limitAddress(r *http.Request) error {
	limit := a.broker.Quotas().AddressRequestRate
	return a.tooMany("address_request_rate", limit, a.addressRates.wait(clientaddr.Network(r.RemoteAddr), 1, limit))
}

// tooMany is the problem of a request that has to wait, or nil.
func (a *api) tooMany(key string, limit int, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	a.broker.CountLimit(key)
	p := problem.New(http.StatusTooManyRequests, fmt.Sprintf("more than %d requests a second; see limits.%s", limit, key))
	p.Code, p.RetryAfter = broker.CodeMessageRate, wait
	return p
}
