package broker

import (
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/destination"
)

// trie finds wildcard groups, word by word. A word is kept with its separator, so that
// separators match too.
//
// To find takes no lock, so a key that takes long to match holds up nothing else. Words
// that follow each other without a branch are one node, so there are at most two nodes
// for a pattern, and a key meets each of them at most once.
type trie struct {
	count atomic.Int64 // groups in it; a publish skips an empty trie
	mu    sync.Mutex   // held to change it
	root  node
}

// node is where one or more words lead to. Its words never change: where they have to, a
// copy takes its place, and who is at the old one finds what there was.
type node struct {
	words    []string                  // from its parent on; the first is its key there
	group    atomic.Pointer[group]     // the pattern ends here
	many     [2]atomic.Pointer[group]  // it ends in ** after this, by separator
	more     [2]atomic.Pointer[group]  // it ends in >
	star     [2]atomic.Pointer[node]   // * is the next word
	children atomic.Pointer[wordTable] // any other word is; nil: none
}

// separator is the index of a word's separator.
func separator(word string) int {
	if word[0] == '.' {
		return 1
	}
	return 0
}

func isStar(word string) bool { return len(word) == 2 && word[1] == '*' }

func (t *trie) add(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	head, tail := splitTail(g.pattern.Words())
	n := &t.root
	for len(head) > 0 {
		child := n.child(head[0])
		if child == nil {
			child = &node{words: head}
			child.end(tail).Store(g)
			n.setChild(child)
			t.count.Add(1)
			return
		}
		same := commonWords(child.words, head)
		if same < len(child.words) {
			upper := &node{words: child.words[:same:same]}
			upper.setChild(child.withWords(child.words[same:]))
			n.setChild(upper)
			child = upper
		}
		n, head = child, head[same:]
	}
	n.end(tail).Store(g)
	t.count.Add(1)
}

func (t *trie) remove(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if head, tail := splitTail(g.pattern.Words()); t.root.remove(head, tail, g) {
		t.count.Add(-1)
	}
}

// remove reports whether the group was there, and prunes and joins nodes below n.
func (n *node) remove(head []string, tail string, g *group) bool {
	if len(head) == 0 {
		return n.end(tail).CompareAndSwap(g, nil)
	}
	child := n.child(head[0])
	if child == nil || len(head) < len(child.words) || commonWords(child.words, head) < len(child.words) || !child.remove(head[len(child.words):], tail, g) {
		return false
	}
	if child.hasGroup() {
		return true
	}
	switch only, count := child.onlyChild(); count {
	case 0:
		n.removeChild(child)
	case 1:
		words := append(append(make([]string, 0, len(child.words)+len(only.words)), child.words...), only.words...)
		n.setChild(only.withWords(words))
	}
	return true
}

// splitTail splits off the last word of a pattern where it is ** or >.
func splitTail(words []string) (head []string, tail string) {
	last := len(words) - 1
	if last >= 0 && destination.IsTail(words[last][1:]) {
		return words[:last], words[last]
	}
	return words, ""
}

func commonWords(a, b []string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// end is where the group of a pattern is that ends at n, with a tail or "".
func (n *node) end(tail string) *atomic.Pointer[group] {
	switch {
	case tail == "":
		return &n.group
	case tail[1:] == ">":
		return &n.more[separator(tail)]
	}
	return &n.many[separator(tail)]
}

func (n *node) hasGroup() bool {
	for _, p := range []*atomic.Pointer[group]{&n.group, &n.many[0], &n.many[1], &n.more[0], &n.more[1]} {
		if p.Load() != nil {
			return true
		}
	}
	return false
}

// child returns the node of a word of a pattern, or nil.
func (n *node) child(word string) *node {
	if isStar(word) {
		return n.star[separator(word)].Load()
	}
	return n.children.Load().get(word)
}

// setChild adds a child, or puts it in place of the one that has its first word.
func (n *node) setChild(child *node) {
	if word := child.words[0]; isStar(word) {
		n.star[separator(word)].Store(child)
	} else {
		n.children.Store(n.children.Load().set(word, child))
	}
}

func (n *node) removeChild(child *node) {
	if word := child.words[0]; isStar(word) {
		n.star[separator(word)].Store(nil)
	} else {
		n.children.Store(n.children.Load().remove(word))
	}
}

// onlyChild returns how many children there are, and one of them.
func (n *node) onlyChild() (child *node, count int) {
	for i := range n.star {
		if star := n.star[i].Load(); star != nil {
			child, count = star, count+1
		}
	}
	table := n.children.Load()
	if table != nil {
		child, count = table.any(), count+table.count
	}
	return child, count
}

// withWords returns a copy that other words lead to.
func (n *node) withWords(words []string) *node {
	c := &node{words: words}
	c.group.Store(n.group.Load())
	for i := range n.star {
		c.many[i].Store(n.many[i].Load())
		c.more[i].Store(n.more[i].Load())
		c.star[i].Store(n.star[i].Load())
	}
	c.children.Store(n.children.Load())
	return c
}

// isEmpty reports whether nothing is at the node or below it.
func (n *node) isEmpty() bool {
	_, count := n.onlyChild()
	return count == 0 && !n.hasGroup()
}

// fewWords is up to how many words a key is split without an allocation.
const fewWords = 32

// find calls yield with the groups whose patterns match a key, without a lock.
func (t *trie) find(key string, yield func(*group)) {
	if t.count.Load() == 0 {
		return
	}
	var few [fewWords]string
	all := few[:0]
	words := destination.WordsOf(key)
	for word := words.Next(); word != ""; word = words.Next() {
		all = append(all, word)
	}
	t.root.find(all, yield)
}

func (n *node) find(words []string, yield func(*group)) {
	if len(words) == 0 {
		yieldGroup(&n.group, yield)
		yieldGroup(&n.many[0], yield) // ** also stands for no words
		yieldGroup(&n.many[1], yield)
		return
	}
	word := words[0]
	by := separator(word)
	yieldGroup(&n.many[by], yield)
	yieldGroup(&n.more[by], yield)
	if destination.IsWildcard(word[1:]) {
		return // a wildcard is no name
	}
	n.children.Load().get(word).findAfter(words[1:], yield)
	n.star[by].Load().findAfter(words[1:], yield)
}

// findAfter is find at a node whose first word was matched.
func (n *node) findAfter(words []string, yield func(*group)) {
	if n == nil || len(words) < len(n.words)-1 {
		return
	}
	for i, want := range n.words[1:] {
		if got := words[i]; got != want && (!isStar(want) || got[0] != want[0] || destination.IsWildcard(got[1:])) {
			return
		}
	}
	n.find(words[len(n.words)-1:], yield)
}

func yieldGroup(p *atomic.Pointer[group], yield func(*group)) {
	if g := p.Load(); g != nil {
		yield(g)
	}
}
