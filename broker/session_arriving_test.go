package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAFrameHasToMakeProgress, not to be whole within its time: a slow network is no fault.
func TestAFrameHasToMakeProgress(t *testing.T) {
	t.Parallel()
	const limit = 100
	var a arriving
	now, received := int64(1000), int64(50)
	require.False(t, a.stands(now, limit, 0), "no frame has begun")
	a.note(now, received)
	for range 50 { // half a limit after the other
		now += limit / 2
		received += minFrameProgress
		a.note(now, received)
		require.False(t, a.stands(now, limit, 0))
	}
	for range limit { // a byte at a time is none
		now++
		received++
		a.note(now, received)
	}
	require.False(t, a.stands(now, limit, 0))
	require.True(t, a.stands(now+1, limit, 0))
	require.False(t, a.stands(now+1, limit, now), "the process was paused until now, and did not read")
	require.True(t, a.stands(now+1+limit, limit, now))
	require.False(t, a.stands(now+1, 0, 0), "there is no limit")
	a.end()
	require.False(t, a.stands(now+10*limit, limit, 0), "the frame is whole")
}
