package httpapi

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/problem"
)

// maxRates is how many users' rates are remembered before those are forgotten that
// have sent nothing for a second.
const maxRates = 10_000

// userRates hold each user to so many messages or requests a second. It is safe for concurrent use.
type userRates struct {
	mu     sync.Mutex
	byUser map[string]*rate.Limiter
}

// wait returns after how long a user may send n messages, and takes them from the rate
// where that is at once. A batch that is larger than a second's messages may go when a
// whole second's are free, and the user then waits for the rest. A limit of 0 allows all.
func (s *userRates) wait(user string, n, perSecond int) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.byUser[user]
	if limiter == nil {
		s.forgetIdle(now)
		limiter = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		if s.byUser == nil {
			s.byUser = make(map[string]*rate.Limiter)
		}
		s.byUser[user] = limiter
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

func (s *userRates) forgetIdle(now time.Time) {
	if len(s.byUser) < maxRates {
		return
	}
	for user, limiter := range s.byUser {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(s.byUser, user)
		}
	}
}

// limitRequests refuses the request of a user who makes too many.
func (a *api) limitRequests(user string) error {
	limit := a.broker.Quotas().UserRequestRate
	wait := a.requests.wait(user, 1, limit)
	if wait == 0 {
		return nil
	}
	a.broker.CountLimit("user_request_rate")
	p := problem.New(http.StatusTooManyRequests, fmt.Sprintf("more than %d requests a second; see limits.user_request_rate", limit))
	p.Code, p.RetryAfter = broker.CodeMessageRate, wait
	return p
}
