package auth

import (
	"sync"
	"time"
)

// maxFailing is how many peers, and how many logins, failures are counted for.
const maxFailing = 10_000

// failures bounds how often something may fail in a minute, with a burst of as much. It
// is safe for concurrent use.
type failures[K comparable] struct {
	mu        sync.Mutex // guards the following
	perMinute int        // 0 is no bound
	failing   map[K]failing
}

// failing is how often a user or an address has failed, less what time has forgiven.
type failing struct {
	count float64
	at    time.Time
}

func (f failing) now(now time.Time, perMinute int) float64 {
	return max(f.count-now.Sub(f.at).Minutes()*float64(perMinute), 0)
}

// limit sets how often, 0 for no bound.
func (f *failures[K]) limit(perMinute int) {
	f.mu.Lock()
	f.perMinute = perMinute
	f.mu.Unlock()
}

// wait returns after how long key may try, which is 0 for now.
func (f *failures[K]) wait(key K, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := float64(f.perMinute)
	count := f.failing[key].now(now, f.perMinute)
	if limit == 0 || count <= limit-1 {
		return 0
	}
	return time.Duration((count - limit + 1) / limit * float64(time.Minute))
}

// add counts a failure of key.
func (f *failures[K]) add(key K, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.perMinute == 0 {
		return
	}
	if f.failing == nil {
		f.failing = make(map[K]failing)
	}
	if _, known := f.failing[key]; !known && len(f.failing) >= maxFailing {
		f.makeRoomLocked(now)
	}
	f.failing[key] = failing{count: f.failing[key].now(now, f.perMinute) + 1, at: now}
}

// makeRoomLocked drops all that are forgiven, or any one where none is.
func (f *failures[K]) makeRoomLocked(now time.Time) {
	for key, failing := range f.failing {
		if failing.now(now, f.perMinute) == 0 {
			delete(f.failing, key)
		}
	}
	for key := range f.failing {
		if len(f.failing) < maxFailing {
			return
		}
		delete(f.failing, key)
	}
}
