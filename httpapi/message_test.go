package httpapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASearchThatEndsEarlySaysSo, and does not say that the message is not there.
func TestASearchThatEndsEarlySaysSo(t *testing.T) {
	t.Parallel()
	s := search{queue: "/queue/deep", began: time.Now(), looked: maxSearched - 1}
	require.False(t, s.over())
	s.looked++
	require.True(t, s.over())
	require.EqualError(t, s.failed("0.77"), "there is no message with that id among the 20000 messages of /queue/deep that were looked at, and there are more; go on with after=0.77")
	require.EqualError(t, s.failed(""), "there is no message with that id in /queue/deep; a consumer may have acknowledged it")
	late := search{began: time.Now().Add(-searchTime)}
	require.True(t, late.over())
}
