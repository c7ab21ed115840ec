package broker

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/destination"
)

func patternGroup(t testing.TB, text string) *group {
	p, err := destination.ParsePattern(text)
	require.NoError(t, err)
	return &group{pattern: p}
}

// nodes counts the nodes of a trie, without its root.
func (n *node) nodes() (count int) {
	below := make([]*node, 0, 2)
	for i := range n.star {
		below = append(below, n.star[i].Load())
	}
	if table := n.children.Load(); table != nil {
		for i := range table.buckets {
			for e := table.buckets[i].Load(); e != nil; e = e.next.Load() {
				below = append(below, e.node.Load())
			}
		}
	}
	for _, child := range below {
		if child != nil {
			count += 1 + child.nodes()
		}
	}
	return count
}

func randomWords(r *rand.Rand, choices string, n int) string {
	var b strings.Builder
	b.WriteString("/topic")
	for range n {
		b.WriteByte("./"[r.IntN(2)])
		b.WriteString(strings.Fields(choices)[r.IntN(len(strings.Fields(choices)))])
	}
	return b.String()
}

// TestTrieFindsWhatPatternsMatch compares it with Pattern.Match, while patterns of all
// shapes come and go, and holds that there are at most two nodes for a pattern.
func TestTrieFindsWhatPatternsMatch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	tree, groups := new(trie), make(map[string]*group)
	for step := range 2000 {
		text := randomWords(r, "a b *", r.IntN(6)) + []string{"", ".**", "/**", ".>", "/>", ".*"}[r.IntN(6)]
		if g := groups[text]; g != nil {
			tree.remove(g)
			tree.remove(g) // once more does no harm
			delete(groups, text)
		} else if len(groups) < 200 && destination.HasWildcard(text) {
			groups[text] = patternGroup(t, text)
			tree.add(groups[text])
		}
		if step%16 == 0 {
			require.LessOrEqual(t, tree.root.nodes(), 2*len(groups))
		}
		require.EqualValues(t, len(groups), tree.count.Load())
		key := randomWords(r, "a b c *", r.IntN(7))
		var want, got []string
		for text, g := range groups {
			if g.pattern.Match(key) && !destination.HasWildcard(key) {
				want = append(want, text)
			}
		}
		tree.find(key, func(g *group) { got = append(got, g.pattern.String()) })
		if !destination.HasWildcard(key) {
			sort.Strings(want)
			sort.Strings(got)
			require.Equal(t, want, got, key)
		}
	}
	for _, g := range groups {
		tree.remove(g)
	}
	require.True(t, tree.root.isEmpty())
}

// TestTrieIsFoundInWhileItChanges: to find takes no lock, and what does not change is
// always found.
func TestTrieIsFoundInWhileItChanges(t *testing.T) {
	t.Parallel()
	tree := new(trie)
	var stay []*group
	for _, text := range []string{"/topic/a.*.c.d", "/topic/a.b.**", "/topic/*.b.c.>", "/**"} {
		stay = append(stay, patternGroup(t, text))
		tree.add(stay[len(stay)-1])
	}
	var changing sync.WaitGroup
	done := make(chan struct{})
	changing.Go(func() {
		defer close(done)
		for i := range 2000 {
			var all []*group
			for _, text := range []string{"/topic/a.*.c.*", "/topic/a.b.c.*", "/topic/a.*", fmt.Sprintf("/topic/%d.*", i), "/topic/*.b.*", "/topic/a.*.c.d.>"} {
				all = append(all, patternGroup(t, text))
			}
			for _, g := range all {
				tree.add(g)
			}
			for _, g := range all {
				tree.remove(g)
			}
		}
	})
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		found := make(map[*group]int)
		tree.find("/topic/a.b.c.d", func(g *group) { found[g]++ })
		for _, g := range stay {
			require.Equal(t, 1, found[g], g.pattern)
		}
	}
	changing.Wait()
	tree.mu.Lock()
	defer tree.mu.Unlock()
	found := 0
	tree.find("/topic/a.b.c.d", func(*group) { found++ })
	require.Equal(t, len(stay), found, "also while it is locked")
}

// crafted returns patterns that all go on matching a key until its last word.
func crafted(t testing.TB, n, words, wildcards int) (key string, all []*group) {
	key = "/topic" + strings.Repeat(".a", words-1)
	seen := make(map[string]bool)
	r := rand.New(rand.NewPCG(3, 4))
	for len(all) < n {
		parts := strings.Split(strings.Repeat("a ", words-2)+"x", " ")
		for range wildcards {
			parts[r.IntN(len(parts)-1)] = "*"
		}
		text := "/topic." + strings.Join(parts, ".")
		if !seen[text] && strings.Contains(text, "*") {
			seen[text] = true
			all = append(all, patternGroup(t, text))
		}
	}
	return key, all
}

// BenchmarkTrieCrafted is a publish that thousands of patterns match except for its last word.
func BenchmarkTrieCrafted(b *testing.B) {
	key, all := crafted(b, 3960, 32, 8)
	tree := new(trie)
	for _, g := range all {
		tree.add(g)
	}
	b.ReportAllocs()
	for b.Loop() {
		tree.find(key, func(*group) {})
	}
	b.ReportMetric(float64(tree.root.nodes()), "nodes")
}

// BenchmarkTrie has a hundred thousand patterns, each of its own.
func BenchmarkTrie(b *testing.B) {
	const n = 100_000
	groups := make([]*group, n)
	for i := range groups {
		groups[i] = patternGroup(b, fmt.Sprintf("/topic/room%d.*", i))
	}
	tree := new(trie)
	for _, g := range groups {
		tree.add(g)
	}
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tree.find("/topic/room77.message", func(*group) {})
		}
	})
	b.Run("change", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			tree.remove(groups[i%n])
			tree.add(groups[i%n])
			i++
		}
	})
	b.Run("fill", func(b *testing.B) {
		for b.Loop() {
			full := new(trie)
			for _, g := range groups {
				full.add(g)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/pattern")
	})
}
