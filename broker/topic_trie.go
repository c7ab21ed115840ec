package broker

import (
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/destination"
)

// trie finds wildcard groups, word by word. A word is kept with its separator,
// so that separators match too.
type trie struct {
	count atomic.Int64 // groups in it; a publish skips an empty trie
	mu    sync.RWMutex
	root  node
}

type node struct {
	group    *group // the pattern ends here
	children map[string]*node
}

func (t *trie) add(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	for _, word := range g.pattern.Words() {
		next := n.children[word]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			next = new(node)
			n.children[word] = next
		}
		n = next
	}
	n.group = g
	t.count.Add(1)
}

func (t *trie) remove(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root.remove(g.pattern.Words()) {
		t.count.Add(-1)
	}
}

// remove reports whether there was a group at words, and prunes empty nodes.
func (n *node) remove(words []string) bool {
	if len(words) == 0 {
		had := n.group != nil
		n.group = nil
		return had
	}
	child := n.children[words[0]]
	if child == nil || !child.remove(words[1:]) {
		return false
	}
	if child.group == nil && len(child.children) == 0 {
		delete(n.children, words[0])
	}
	return true
}

func (t *trie) find(key string, yield func(*group)) {
	if t.count.Load() == 0 {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.root.find(destination.WordsOf(key), yield)
}

var (
	starBy = map[byte]string{'/': "/*", '.': ".*"}
	manyBy = map[byte]string{'/': "/**", '.': ".**"}
	moreBy = map[byte]string{'/': "/>", '.': ".>"}
)

func (n *node) find(words destination.Words, yield func(*group)) {
	rest := words.Rest()
	if rest == "" {
		n.yield(yield)
		n.children["/**"].yield(yield) // ** also stands for no words
		n.children[".**"].yield(yield)
		return
	}
	if len(n.children) == 0 {
		return
	}
	n.children[manyBy[rest[0]]].yield(yield)
	n.children[moreBy[rest[0]]].yield(yield)
	word := words.Next()
	if destination.IsWildcard(word[1:]) {
		return // a wildcard is no name
	}
	if child := n.children[word]; child != nil {
		child.find(words, yield)
	}
	if child := n.children[starBy[rest[0]]]; child != nil {
		child.find(words, yield)
	}
}

func (n *node) yield(yield func(*group)) {
	if n != nil && n.group != nil {
		yield(n.group)
	}
}
