// Package fairturns has work that takes a processor for long done in pieces, by a few goroutines
// at a time.
package fairturns

import "sync"

// Turns are for pieces of work. While some are done the others wait, and it goes round-robin by user,
// whatever the number of their pieces. It is safe for concurrent use.
type Turns struct {
	mu      sync.Mutex // guards the following
	free    int
	users   []string                   // who have pieces that wait, in the order of their turns
	waiting map[string][]chan struct{} // of each of them, the oldest first
}

// New returns turns for n pieces at a time.
func New(n int) *Turns { return &Turns{free: n, waiting: make(map[string][]chan struct{})} }

// Take waits until it is the turn of a piece of a user, who gives it back with [Turns.Give] soon,
// and waits for nothing else meanwhile.
func (t *Turns) Take(user string) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	if t.waiting[user] = append(t.waiting[user], turn); len(t.waiting[user]) == 1 {
		t.users = append(t.users, user)
	}
	t.mu.Unlock()
	<-turn
}

// Give ends a turn.
func (t *Turns) Give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.users) == 0 {
		t.free++
		return
	}
	user := t.users[0]
	t.users = t.users[1:]
	theirs := t.waiting[user]
	close(theirs[0])
	if len(theirs) == 1 {
		delete(t.waiting, user)
		return
	}
	t.waiting[user] = theirs[1:]
	t.users = append(t.users, user)
}
