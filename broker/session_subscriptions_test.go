package broker

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSubscriptionsAreFoundByName, whichever came first and was removed.
func TestSubscriptionsAreFoundByName(t *testing.T) {
	t.Parallel()
	var s subscriptions
	want := map[string]*subscription{}
	check := func() {
		require.Equal(t, len(want), s.len())
		require.Equal(t, want, maps.Collect(s.all()))
		for _, name := range []string{"", "#a", "#b", "#c"} {
			require.Same(t, want[name], s.get(name))
		}
	}
	check()
	for _, order := range [][]string{{"#a", "#b", "#c"}, {"", "#a"}, {"#b", ""}, {"#c", "#b", "#a", ""}} {
		for _, name := range order {
			want[name] = new(subscription)
			s.set(name, want[name])
			check()
		}
		s.remove("#x")
		check()
		delete(want, order[0])
		s.remove(order[0])
		check()
		want["#d"] = new(subscription)
		s.set("#d", want["#d"])
		check()
		for name := range s.all() {
			s.remove(name)
		}
		clear(want)
		check()
	}
	s.set("#a", new(subscription))
	s.set("#b", new(subscription))
	for range s.all() {
		break
	}
}
