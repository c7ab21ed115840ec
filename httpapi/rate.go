package httpapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// mostRates is how many users' rates are remembered before those are forgotten that
// have sent nothing for a second.
const mostRates = 10_000

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
	one := s.byUser[user]
	if one == nil {
		s.forgetIdle(now)
		one = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		if s.byUser == nil {
			s.byUser = make(map[string]*rate.Limiter)
		}
		s.byUser[user] = one
	}
	return one.AllowN(now, n)
}

func (s *sendRates) forgetIdle(now time.Time) {
	if len(s.byUser) < mostRates {
		return
	}
	for user, one := range s.byUser {
		if one.TokensAt(now) >= float64(one.Burst()) {
			delete(s.byUser, user)
		}
	}
}
