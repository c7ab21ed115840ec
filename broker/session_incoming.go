package broker

import (
	"io"
	"sync"
	"time"
)

const (
	// anonymousAt begins the name under which an address has what its connections sent
	// before CONNECT. No user has a NUL in the name.
	anonymousAt = "\x00"
	// freeEarlyBytes is what a connection may send before CONNECT without that it counts.
	freeEarlyBytes = 4 << 10
	// incomingPatience is how long a connection is not read, as others of its user hold too
	// much, before it ends.
	incomingPatience = 5 * time.Second
	incomingRetry    = 20 * time.Millisecond
)

// holdIncoming counts the bytes of a frame that has not arrived as a whole. While there
// are too many it waits, which keeps the session from being read.
func (s *Session) holdIncoming(bytes int) error {
	if bytes == s.incomingBytes.used {
		return nil
	}
	err := s.incomingBytes.set(bytes)
	if err != nil {
		s.flushes.start()
	}
	for began := time.Now(); err != nil; err = s.incomingBytes.set(bytes) {
		if time.Since(began) > s.broker.incomingPatience {
			return err
		}
		if state(s.state.Load()) == stateEnding {
			return ErrClosed
		}
		time.Sleep(incomingRetry)
	}
	return nil
}

// Incoming counts the memory of an HTTP request while it is read and handled, against
// Quotas.Incoming. Only one goroutine may use it at a time.
type Incoming struct {
	account account
	work    *Work
}

// NewIncoming returns an account for one HTTP request of a user. The caller must call Close.
func (b *Broker) NewIncoming(user string) *Incoming {
	return &Incoming{account{budget: b.memory.incoming, user: user, free: freeBytes}, NewWork(b, user)}
}

// Add counts n more bytes. Above a limit it returns an *Error; it never waits.
func (i *Incoming) Add(n int) error {
	if err := i.account.add(n); err != nil {
		return err
	}
	return nil
}

// Reader counts what is read from its argument. Above a limit its error is an [*Error]. What its
// caller does with what was read is [Work], until the next Read or [Incoming.Rest].
func (i *Incoming) Reader(from io.Reader) io.Reader { return &incomingReader{from, i} }

type incomingReader struct {
	from     io.Reader
	incoming *Incoming
}

func (r *incomingReader) Read(p []byte) (int, error) {
	r.incoming.Rest() // the peer may take long
	n, err := r.from.Read(p)
	if over := r.incoming.Add(n); over != nil {
		return n, over
	}
	r.incoming.work.Begin(n)
	return n, err
}

// Rest ends the work on what was read. The caller calls it before it waits for something else.
func (i *Incoming) Rest() { i.work.Rest() }

// Close releases all counted bytes.
func (i *Incoming) Close() {
	i.Rest()
	i.account.sub(i.account.used)
}

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

// Await is Set that waits for a while where there is too much, as long as goesOn returns true.
func (a *Arriving) Await(n int, goesOn func() bool) error {
	err := a.Set(n)
	for began := time.Now(); err != nil && time.Since(began) < a.patience; err = a.Set(n) {
		if time.Sleep(incomingRetry); !goesOn() {
			break
		}
	}
	return err
}
