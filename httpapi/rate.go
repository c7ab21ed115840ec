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

// allow reports whether a user may send n messages now. A limit of 0 allows all.
func (s *sendRates) allow(user string, n, perSecond int) bool {
	if perSecond <= 0 {
		return true
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
	return limiter.AllowN(now, n)
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
