package broker

import (
	"sync"
	"time"
)

// Arriving counts the memory of a request over HTTP from its first byte on, when only the
// address that it comes from is known, against Quotas.Incoming. It is safe for concurrent use.
type Arriving struct {
	budget   *budget
	name     string
	patience time.Duration

	mu    sync.Mutex // guards the following
	taken int
}

// NewArriving returns an account for one request of a remote address. A shared one is a proxy's:
// each of its requests counts for itself, and only the limit of the node is for all of them. The
// caller must call Set(0).
func (b *Broker) NewArriving(remote string, shared bool) *Arriving {
	name := remote
	if address := addressOf(remote); address.IsValid() && !shared {
		name = address.String()
	}
	return &Arriving{budget: b.memory.incoming, name: anonymousAt + name, patience: b.incomingPatience}
}

// Set counts n bytes in place of those of before. Above a limit it returns an *Error, and
// nothing changes.
func (a *Arriving) Set(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > a.taken {
		if err := a.budget.take(a.name, n-a.taken); err != nil {
			return err
		}
	} else {
		a.budget.give(a.name, a.taken-n)
	}
	a.taken = n
	return nil
}

// Await is Set that waits for a while where there is too much.
func (a *Arriving) Await(n int) error {
	err := a.Set(n)
	for began := time.Now(); err != nil && time.Since(began) < a.patience; err = a.Set(n) {
		time.Sleep(incomingRetry)
	}
	return err
}
