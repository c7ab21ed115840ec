package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheFirstNamesAreThoseOfASortedList(t *testing.T) {
	t.Parallel()
	var given []string
	counts := make(map[string]int)
	for i := range 1000 {
		name := fmt.Sprintf("%04d", i)
		counts[name] = 1 + i%3
		for range counts[name] {
			given = append(given, name)
		}
	}
	for _, c := range []struct {
		after       string
		limit, from int
	}{{"", 0, 0}, {"", 1, 0}, {"", 7, 0}, {"0099", 10, 100}, {"0099", 0, 100}, {"0995", 10, 996}, {"", 5000, 0}, {"x", 3, 1000}} {
		rand.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
		first := newFirstNames(c.after, c.limit)
		for _, name := range given {
			if first.wants(name) {
				first.add(name, 1)
			}
		}
		var want []string
		for i := c.from; i < 1000 && (c.limit == 0 || i < c.from+c.limit); i++ {
			want = append(want, fmt.Sprintf("%04d", i))
		}
		got := first.sorted()
		require.True(t, slices.Equal(want, got), "%+v: %v", c, got)
		for _, name := range got {
			require.Equal(t, counts[name], first.counts[name], name)
		}
	}
}
