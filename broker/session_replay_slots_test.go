package broker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplaysOfAUserAreBounded(t *testing.T) {
	t.Parallel()
	r := newReplaySlots()
	var releases []func()
	take := func(user string) bool {
		ctx, cancel := context.WithCancel(t.Context())
		if len(r.all) == maxReplaying || r.users[user] != nil && len(r.users[user].slots) == maxUserReplaying {
			cancel() // it would wait
		}
		defer cancel()
		release, ok := r.take(ctx, user)
		if ok {
			releases = append(releases, release)
		}
		return ok
	}
	for range maxUserReplaying {
		require.True(t, take("ann"))
	}
	require.False(t, take("ann"))
	users := "bcdefghijk"
	for i := maxUserReplaying; i < maxReplaying; i++ {
		require.True(t, take(users[i/maxUserReplaying-1:i/maxUserReplaying]))
	}
	require.False(t, take("other"))
	releases[0]()
	releases = releases[1:]
	require.True(t, take("other"))
	for _, release := range releases {
		release()
	}
	require.Empty(t, r.all)
	require.Empty(t, r.users)
}
