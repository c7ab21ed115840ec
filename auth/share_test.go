package auth

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/destination"
)

// TestEqualGrantsShareTheirPatterns, and those that name their user do not.
func TestEqualGrantsShareTheirPatterns(t *testing.T) {
	t.Parallel()
	grants := func() Grants {
		return Grants{Send: []string{"/app/shared/**"}, Subscribe: []string{"/topic/shared/{user}"}, Serve: []string{"/app/shared/**"}}
	}
	a, err := NewPermissions(grants(), "a")
	require.NoError(t, err)
	b, err := NewPermissions(grants(), "b")
	require.NoError(t, err)
	require.Same(t, &a.send[0], &b.send[0])
	require.Same(t, &a.serve[0], &b.serve[0])
	require.True(t, b.MaySend("/app/shared/x"))
	for user, p := range map[string]Permissions{"a": a, "b": b} {
		for _, other := range []string{"a", "b"} {
			pattern, err := destination.ParseOwnPattern("/topic/shared/" + other)
			require.NoError(t, err)
			require.Equal(t, user == other, p.MaySubscribe(pattern))
		}
	}
	_, err = NewPermissions(Grants{Send: []string{"app"}}, "a")
	require.ErrorContains(t, err, `send pattern "app"`)
}

// TestListsOfOtherTextsAreOthers, wherever one text ends and the next begins.
func TestListsOfOtherTextsAreOthers(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	lists := [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"1:a"}, {"a", "1:b"}, {"", "abc"}, {"abc", ""}, {"a1:b"}}
	for _, kind := range []string{"send", "serve"} {
		for _, list := range lists {
			keys[sharedKey(kind, list)] = true
		}
	}
	require.Len(t, keys, 2*len(lists))
	require.Empty(t, sharedKey("send", []string{strings.Repeat("x", maxSharedKey)}), "too long to be shared")
}

func TestSharedListsAreBounded(t *testing.T) {
	t.Parallel()
	var s sharedLists[string]
	for i := range 10_000 {
		text := strconv.Itoa(i) + strings.Repeat("x", 1000)
		list, err := s.find(text, func() ([]string, error) { return []string{text}, nil })
		require.NoError(t, err)
		require.Equal(t, []string{text}, list)
		require.LessOrEqual(t, s.bytes, maxSharedBytes)
	}
	require.LessOrEqual(t, len(s.lists), maxSharedBytes/1000)
	failure := errors.New("failed")
	_, err := s.find("key", func() ([]string, error) { return nil, failure })
	require.ErrorIs(t, err, failure)
	require.NotContains(t, s.lists, "key")
}
