package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestANodeIsReadyOnceItHasCaughtUp, after its start and after it was cut off. One that does
// not catch up is ready after some time, so that a stream without a majority does not take
// the whole cluster away.
func TestANodeIsReadyOnceItHasCaughtUp(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	var behind error
	j := &d.health.joining
	require.True(t, d.Ready(), "a server of its own has nothing to catch up with")
	j.behind.Store(true)
	j.current = func() error { return behind }
	now := time.Now()
	look := func(after time.Duration, alone bool) bool {
		now = now.Add(after)
		j.look(d.link, now, alone)
		return d.Ready()
	}
	require.False(t, look(time.Hour, true))
	behind = errors.New("a stream is not current")
	require.False(t, look(time.Hour, false), "the time before its routes does not count")
	require.False(t, look(maxJoining-time.Second, false))
	behind = nil
	require.False(t, look(time.Millisecond, false), "it is not looked all the time")
	require.True(t, look(joiningCheckEvery, false))
	behind = errors.New("the others go on")
	require.True(t, look(time.Hour, false), "once it has caught up, that is no question")
	require.False(t, look(time.Second, true), "it is cut off")
	require.False(t, look(time.Second, false))
	require.True(t, look(maxJoining, false))
	require.Equal(t, 1, d.logged("this node does not catch up with the others"))
	require.Equal(t, 1, d.logged("this node has what the others have"))
}

// TestServersOfAClusterCatchUp with real ones.
func TestServersOfAClusterCatchUp(t *testing.T) {
	t.Parallel()
	for _, d := range clusterOf(t, 3) {
		require.Eventually(t, d.Ready, patience, 10*time.Millisecond)
		require.Equal(t, 1, d.logged("this node has what the others have"))
	}
}
