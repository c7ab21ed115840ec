package fairslots

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// takeAll takes slots until one is refused.
func takeAll(s *Slots, user string) (n int, last Outcome) {
	for {
		if last = s.Take(user); last != Taken {
			return n, last
		}
		n++
	}
}

func TestOneUserGetsAboutHalf(t *testing.T) {
	t.Parallel()
	for slots, want := range map[int]struct {
		n    int
		last Outcome
	}{1: {1, Full}, 2: {2, Full}, 3: {2, OverPart}, 4: {3, OverPart}, 100: {51, OverPart}, 1024: {513, OverPart}} {
		s := New(slots)
		n, last := takeAll(s, "eve")
		require.Equal(t, want.n, n, slots)
		require.Equal(t, want.last, last, slots)
	}
}

// TestThereIsASlotForWhoHasNone: however many users take all that they get.
func TestThereIsASlotForWhoHasNone(t *testing.T) {
	t.Parallel()
	s := New(100)
	for i := range 6 {
		n, last := takeAll(s, fmt.Sprint("eve", i))
		require.Positive(t, n)
		require.Equal(t, OverPart, last)
	}
	require.Equal(t, Taken, s.Take("bob"))
}

func TestSlotsAreGivenBack(t *testing.T) {
	t.Parallel()
	s := New(10)
	n, _ := takeAll(s, "eve")
	require.Equal(t, Taken, s.Take("bob"))
	require.Equal(t, OverPart, s.Take("eve"))
	s.Give("bob")
	for range n {
		s.Give("eve")
	}
	require.Zero(t, s.taken)
	require.Empty(t, s.byUser)
	again, _ := takeAll(s, "bob")
	require.Equal(t, n, again)
}
