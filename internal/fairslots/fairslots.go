// Package fairslots shares a number of slots between users, so that none of them can have all.
package fairslots

import "sync"

// Slots are for what is done at a time. A user who has more of them than are free gets no
// other: one alone gets about half, and the last one is for a caller that has none yet. It is safe for
// concurrent use.
type Slots struct {
	max int

	mu     sync.Mutex // guards the following
	taken  int
	byUser map[string]int
}

// Outcome is what became of a [Slots.Take].
type Outcome uint8

// The outcomes.
const (
	Taken    Outcome = iota
	Full             // all slots are taken
	OverPart         // the user has more than are free
)

// New returns n slots.
func New(n int) *Slots { return &Slots{max: n, byUser: make(map[string]int)} }

// Take takes a slot for a user, who gives it back with [Slots.Give].
func (s *Slots) Take(user string) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	theirs := s.byUser[user]
	outcome := Share(s.max, s.taken, theirs)
	if outcome == Taken {
		s.taken++
		s.byUser[user] = theirs + 1
	}
	return outcome
}

// Share is what becomes of a user who has some of the taken slots, of a number of them, and
// wants one more. It is for those who count by themselves.
func Share(slots, taken, theirs int) Outcome {
	free := slots - taken
	switch {
	case free <= 0:
		return Full
	case theirs > free, theirs > 0 && free == 1 && slots > 2: // of two, one user may have both
		return OverPart
	}
	return Taken
}

// Give gives a slot of a user back.
func (s *Slots) Give(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byUser[user]--; s.byUser[user] == 0 {
		delete(s.byUser, user)
	}
}
