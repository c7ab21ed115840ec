package webhook

import (
	"sync"
	"time"
)

const (
	// breakAfter is how many failures in a row open a circuit.
	breakAfter = 10
	// openFor is how long it is open before one try may close it.
	openFor = 5 * time.Second
)

// breaker is a circuit breaker: what fails again and again is left alone for a while,
// and then tried by one. Where only the requests of one user failed, the circuit is open for
// that user alone, whose requests may be what makes them fail. It is safe for concurrent use.
type breaker struct {
	mu       sync.Mutex // guards the following
	failures int        // in a row
	user     string     // whose request was the first of them
	several  bool       // those of other users failed too
	until    time.Time  // open up to then, where failures are enough
}

// wait returns how long a user's request has to wait before a try: 0 says to try now. While
// the circuit is open it says so to one caller at a time.
func (b *breaker) wait(now time.Time, user string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isOpen() || !b.several && user != b.user {
		return 0
	}
	if left := b.until.Sub(now); left > 0 {
		return left
	}
	b.until = now.Add(openFor) // the others wait for what becomes of this try
	return 0
}

// succeeded closes the circuit, and reports whether it was open.
func (b *breaker) succeeded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasOpen := b.isOpen()
	b.failures = 0
	return wasOpen
}

// failed notes that a user's request failed. It opens the circuit where that is one too many,
// and reports whether it was.
func (b *breaker) failed(now time.Time, user string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures == 0 {
		b.user, b.several = user, false
	}
	b.several = b.several || user != b.user
	b.failures++
	if b.isOpen() {
		b.until = now.Add(openFor)
	}
	return b.failures == breakAfter
}

// open reports whether the circuit is open.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isOpen()
}

// isOpen is open for who holds the lock.
func (b *breaker) isOpen() bool { return b.failures >= breakAfter }
