package destination_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/destination"
)

func pattern(t testing.TB, text string) destination.Pattern {
	t.Helper()
	p, err := destination.ParsePattern(text)
	require.NoError(t, err, text)
	return p
}

func TestPatternMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern  string
		matches  string // separated by spaces
		mismatch string
	}{
		{"/topic/chat.room1", "/topic/chat.room1", "/topic/chat/room1 /topic/chat.room10 /topic/chat.room1.x /topic/chat"},
		{"/topic/chat.*", "/topic/chat.room1 /topic/chat.x", "/topic/chat/room1 /topic/chat /topic/chat.a.b /topic/chat.a/b"},
		{"/topic/*/news", "/topic/a/news", "/topic/a.news /topic/a/b/news /topic/news"},
		{"/topic/**", "/topic /topic/a /topic/a.b/c", "/queue/a /topics /topic.a"},
		{"/topic/chat.**", "/topic/chat /topic/chat.a /topic/chat.a.b /topic/chat.a/b", "/topic/chat/a /topic/chats"},
		{"/topic/>", "/topic/a /topic/a.b", "/topic /topic.a"},
		{"/**", "/topic/a /queue/b /x", ""},
		{"/topic/a*b", "/topic/a*b", "/topic/axb"},
		{"/user/*/queue/x", "/user/bob/queue/x /user/bob@example.com/queue/x", "/user/bob.queue/x /user/bob/queue.x"},
		{"/user/bob@example.com/**", "/user/bob@example.com/queue/a.b /user/bob@example.com", "/user/bob@example/com/x /user/bob@example.comx/q"},
		{"/user/*/queue.*", "/user/b.o.b/queue.x", "/user/b/o/b/queue.x"},
		{"/user/>", "/user/b.o.b/queue.x", "/user"},
		{"/session/disconnect/*", "/session/disconnect/bob@example.com", "/session/disconnect/a/b"},
	}
	for _, tt := range tests {
		p := pattern(t, tt.pattern)
		require.Equal(t, tt.pattern, p.String())
		for _, d := range strings.Fields(tt.matches) {
			require.True(t, p.Match(d), "%s should match %s", tt.pattern, d)
		}
		for _, d := range strings.Fields(tt.mismatch) {
			require.False(t, p.Match(d), "%s should not match %s", tt.pattern, d)
		}
	}
}

func TestPatternContains(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outer, inner string
		want         bool
	}{
		{"/topic/**", "/topic/**", true},
		{"/topic/**", "/topic/chat.*", true},
		{"/topic/**", "/topic/>", true},
		{"/topic/**", "/topic", true},
		{"/topic/>", "/topic/**", false},
		{"/topic/>", "/topic/a", true},
		{"/topic/>", "/topic", false},
		{"/topic/chat.*", "/topic/**", false},
		{"/topic/chat.*", "/topic/chat.**", false},
		{"/topic/chat.*", "/topic/chat.*", true},
		{"/topic/chat.*", "/topic/chat.room1", true},
		{"/topic/chat.room1", "/topic/chat.*", false},
		{"/topic/chat.**", "/topic/chat/**", false},
		{"/topic/*/x", "/topic/a/*", false},
		{"/topic/*.*", "/topic/a.*", true},
		{"/topic/*/**", "/topic/a/b/**", true},
		{"/topic/*/**", "/topic/**", false},
		{"/topic/**", "/topic.a", false},
		{"/**", "/user/queue/x", true},
		{"/user/*/queue/**", "/user/b.o.b/queue/x", true},
		{"/user/b.*/queue/x", "/user/b.ob/queue/x", false},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, pattern(t, tt.outer).Contains(pattern(t, tt.inner)), "%s contains %s", tt.outer, tt.inner)
	}
}

func TestParsePatternRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "topic/a", "/topic/**/a", "/topic/>.a", "*"} {
		_, err := destination.ParsePattern(bad)
		require.Error(t, err, bad)
	}
}

// FuzzPattern: what an inner pattern matches, a pattern that contains it must
// match too; and a pattern always contains itself.
func FuzzPattern(f *testing.F) {
	f.Add("/topic/**", "/topic/a.*", "/topic/a.b")
	f.Add("/a.*/>", "/a.b/**", "/a.b/c")
	f.Fuzz(func(t *testing.T, outer, inner, name string) {
		o, err := destination.ParsePattern(outer)
		if err != nil {
			return
		}
		i, err := destination.ParsePattern(inner)
		if err != nil {
			return
		}
		require.True(t, o.Contains(o))
		if o.Contains(i) && i.Match(name) {
			require.True(t, o.Match(name), "%q contains %q, which matches %q", outer, inner, name)
		}
	})
}

func TestEscapeSegment(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"alice", "a/b", "50%", "%2F", "*", ">", "zoë", "a.b@c", "%c3%b6", "a\nb", "日本 語", ":?#[]@!$&'()+,;="} {
		escaped := destination.EscapeSegment(name)
		require.NotContains(t, escaped, "/")
		require.Equal(t, name, destination.UnescapeSegment(escaped))
	}
	for segment, name := range map[string]string{
		"a%zz": "a%zz", "a%4": "a%4", "bob%40example.com": "bob@example.com", "bob%40example%2Ecom": "bob@example.com",
		"zo%c3%ab": "zoë", "a%2fb": "a/b", "a%20b+c": "a b+c", "%FF": "%FF", "%2525": "%25",
	} {
		require.Equal(t, name, destination.UnescapeSegment(segment))
	}
	for given, spelled := range map[string]string{
		"/user/bob%40example.com/queue/%40": "/user/bob@example.com/queue/%40",
		"/user/a%2fb/q":                     "/user/a%2Fb/q",
		"/user/*/q":                         "/user/*/q",
		"/user/a*/q":                        "/user/a%2A/q",
		"/user/%2A/q":                       "/user/%2A/q",
		"/topic/bob%40example.com":          "/topic/bob%40example.com",
		"/session/disconnect/bob%40x":       "/session/disconnect/bob@x",
		"/user/zo%c3%ab":                    "/user/zoë",
	} {
		require.Equal(t, spelled, destination.Canonical(given))
		require.Equal(t, spelled, destination.Canonical(spelled))
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	p := pattern(t, "/user/*/queue/**")
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if !p.Match(destination.Canonical("/user/bob@example.com/queue/x")) {
			t.Fail()
		}
	}))
}

func TestPatternOverlaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"/topic/a", "/topic/a", true},
		{"/topic/a", "/topic/b", false},
		{"/topic/*", "/topic/b", true},
		{"/topic/*.x", "/topic/a.*", true},
		{"/topic/*.x", "/topic/a/*", false},
		{"/topic/**", "/topic/a.b", true},
		{"/topic/chat.**", "/topic/**", true},
		{"/topic/chat.**", "/topic/chat", true},
		{"/topic/chat.>", "/topic/chat", false},
		{"/topic/chat.>", "/topic/chat.**", true},
		{"/topic/chat.>", "/topic/chat/**", false},
		{"/topic/chat.**", "/topic/chat/**", true}, // both match /topic/chat
		{"/topic/chat.>", "/topic/chat.room.1", true},
		{"/user/*/queue/**", "/user/al/queue/x", true},
		{"/user/*/queue/**", "/user/al/topic/x", false},
	} {
		a, b := pattern(t, c.a), pattern(t, c.b)
		require.Equal(t, c.want, a.Overlaps(b), "%s %s", c.a, c.b)
		require.Equal(t, c.want, b.Overlaps(a), "%s %s", c.b, c.a)
	}
}
