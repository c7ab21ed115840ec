package broker

import (
	"context"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// lonely is a relay without other nodes, which remembers the interests.
type lonely struct{ interests map[string]int }

func (l *lonely) Publish(*driver.Message) error { return nil }
func (l *lonely) Flush(context.Context) error   { return nil }
func (l *lonely) Subscribe(pattern string, _ func(*driver.Message)) (func(), error) {
	l.interests[pattern]++
	return func() {
		if l.interests[pattern]--; l.interests[pattern] == 0 {
			delete(l.interests, pattern)
		}
	}, nil
}

func testSubscription(t testing.TB, pattern string) *subscription {
	p, err := destination.ParsePattern(pattern)
	require.NoError(t, err)
	return &subscription{id: pattern, pattern: p}
}

// TestRouterFindsWhatPatternsMatch compares the trie with Pattern.Match.
func TestRouterFindsWhatPatternsMatch(t *testing.T) {
	t.Parallel()
	relay := &lonely{interests: map[string]int{}}
	r := newRouter(relay, func(*group, *driver.Message) {})
	patterns := strings.Fields("/topic/a /topic/* /topic/** /topic/> /topic/a.* /topic/a/* /topic/a.** /topic/*.b /topic/*/b /topic/a.*.c /topic/a.> /user/x/** /user/*/queue/* /user/*/* /user/b.ob/** /**")
	keys := strings.Fields("/topic/a /topic/b /topic/a.b /topic/a/b /topic/a.b.c /topic/a.b/c /topic/a/b/c /user/x/queue/y /user/b.ob/queue/y /user/b.ob/a.b /topic/a. /topic/..")
	var subs []*subscription
	for _, p := range patterns {
		for range 2 {
			s := testSubscription(t, p)
			subs = append(subs, s)
			_, err := r.add(s)
			require.NoError(t, err)
		}
		require.Equal(t, 1, relay.interests[p], "one interest for all subscribers")
	}
	check := func(patterns []string) {
		for _, key := range keys {
			var want, got []string
			for _, p := range patterns {
				if testSubscription(t, p).pattern.Match(key) {
					want = append(want, p)
				}
			}
			r.find(key, func(g *group) { got = append(got, g.pattern.String()) })
			sort.Strings(want)
			sort.Strings(got)
			require.Equal(t, want, got, "key %s", key)
		}
	}
	check(patterns)
	for i, s := range subs {
		r.remove(s)
		r.remove(s) // once more does no harm
		if i%2 == 1 {
			check(patterns[i/2+1:])
		}
	}
	require.Empty(t, relay.interests)
	require.True(t, r.wild.root.isEmpty(), "the trie is pruned")
}
