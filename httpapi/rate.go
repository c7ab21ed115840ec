package httpapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRates is how many users' rates are remembered before those are forgotten that
// have sent nothing for a second.
const maxRates = 10_000

// sendRates hold each user to the messages a second that a connection may send, as
// who sends over HTTP has none. It is safe for concurrent use.
type sendRates struct {
	mu     sync.Mutex
	byUser map[string]*rate.Limiter
}

// wait returns after how long a user may send n messages, and takes them from the rate
// where that is at once. A batch that is larger than a second's messages may go when a
// whole second's are free, and the user then waits for the rest. A limit of 0 allows all.
func (s *sendRates) wait(user string, n, perSecond int) time.Duration {
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

func (s *sendRates) forgetIdle(now time.Time) {
	if len(s.byUser) < maxRates {
		return
	}
	for user, limiter := range s.byUser {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(s.byUser, user)
		}
	}
}
