package broker

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowGate is a gate whose peer takes some bytes of the write under way.
type slowGate struct {
	*gate
	taken atomic.Uint64
}

func (g *slowGate) Progress() uint64 { return g.taken.Load() }

// TestAWriteHangsWhenNothingOfItIsTaken, not when it takes long as a whole.
func TestAWriteHangsWhenNothingOfItIsTaken(t *testing.T) {
	t.Parallel()
	b := newTestBroker(t)
	g := &slowGate{gate: newGate(false)}
	s, err := b.Open(g)
	require.NoError(t, err)
	s.outbox.push([]byte("x"))
	require.Eventually(t, func() bool { return s.outbox.writing.Load() != 0 }, time.Minute, time.Millisecond)
	since, limit := s.outbox.writing.Load(), int64(20*time.Second)
	at := since
	for range 100 { // half a limit after the other
		at += limit / 2
		g.taken.Add(1)
		require.False(t, s.writeHangs(at, 0, limit))
	}
	require.False(t, s.writeHangs(at+limit, 0, limit))
	require.True(t, s.writeHangs(at+limit+1, 0, limit))
	require.False(t, s.writeHangs(at+limit+1, at+1, limit), "the process was paused meanwhile")
	close(g.open)
	require.Eventually(t, s.outbox.idle, time.Minute, time.Millisecond)
	require.False(t, s.writeHangs(at+10*limit, 0, limit), "no write is under way")
	s.Detach(nil)
}
