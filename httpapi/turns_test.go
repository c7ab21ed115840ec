package httpapi

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRequestsOfAUserTakeTurns: those beyond a few wait, and those of others do not.
func TestRequestsOfAUserTakeTurns(t *testing.T) {
	t.Parallel()
	var all turns
	var under []func()
	for range maxUnderWay {
		done, ok := all.take(t.Context(), "eve", time.Hour)
		require.True(t, ok)
		under = append(under, done)
	}
	_, ok := all.take(t.Context(), "eve", time.Millisecond)
	require.False(t, ok)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, ok = all.take(gone, "eve", time.Hour)
	require.False(t, ok, "the client has gone")
	done, ok := all.take(t.Context(), "bob", time.Hour)
	require.True(t, ok)
	done()
	waiting := make(chan func())
	go func() {
		done, _ := all.take(context.Background(), "eve", time.Hour)
		waiting <- done
	}()
	under[0]()
	(<-waiting)()
	under[1]()
	require.Empty(t, all.byUser)
}
