package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/destination"
)

func pattern(t testing.TB, text string) destination.Pattern {
	t.Helper()
	p, err := destination.ParsePattern(text)
	require.NoError(t, err, text)
	return p
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	p, err := auth.NewPermissions(auth.Grants{
		Send:      []string{"/app/**", "/topic/private.{user}.*"},
		Subscribe: []string{"/topic/chat.*", "/user/**"},
		Serve:     []string{"/app/chat.*"},
	}, "al/ice*")
	require.NoError(t, err)
	require.True(t, p.MaySend("/app/x"))
	require.True(t, p.MaySend("/topic/private.al%2Fice%2A.inbox"))
	require.False(t, p.MaySend("/topic/private.bob.inbox"))
	require.False(t, p.MaySend("/topic/chat.a"))
	require.True(t, p.MaySubscribe(pattern(t, "/topic/chat.*")))
	require.False(t, p.MaySubscribe(pattern(t, "/topic/**")))
	require.True(t, p.MayServe(pattern(t, "/app/chat.join")))
	require.False(t, p.MayServe(pattern(t, "/app/**")))

	var none auth.Permissions
	require.False(t, none.MaySend("/app/x"))
	require.False(t, none.MaySubscribe(pattern(t, "/topic/a")))
	require.False(t, none.MayServe(pattern(t, "/app/a")))

	_, err = auth.NewPermissions(auth.Grants{Send: []string{"/a/**/b"}}, "x")
	require.ErrorContains(t, err, `send pattern "/a/**/b"`)
}
