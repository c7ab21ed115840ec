package broker

import (
	"hash/maphash"
	"sync/atomic"
)

// wordTable holds the children of a node by their first words. One goroutine at a time
// changes it; any number read it meanwhile, without a lock. A nil table is empty.
type wordTable struct {
	seed    maphash.Seed
	buckets []atomic.Pointer[wordEntry] // a power of two of them
	count   int                         // of the writers alone
}

// wordEntry is one word of a bucket. An entry that was taken out still leads on to those
// behind it, for readers that hold it at the time.
type wordEntry struct {
	word string
	node atomic.Pointer[node]
	next atomic.Pointer[wordEntry]
}

// maxChain is how many entries a bucket has on average before there are more buckets.
const maxChain = 4

func newWordTable(buckets int) *wordTable {
	return &wordTable{seed: maphash.MakeSeed(), buckets: make([]atomic.Pointer[wordEntry], buckets)}
}

func (t *wordTable) bucket(word string) *atomic.Pointer[wordEntry] {
	if len(t.buckets) == 1 {
		return &t.buckets[0]
	}
	return &t.buckets[maphash.String(t.seed, word)&uint64(len(t.buckets)-1)]
}

func (t *wordTable) entry(word string) *wordEntry {
	if t == nil {
		return nil
	}
	e := t.bucket(word).Load()
	for e != nil && e.word != word {
		e = e.next.Load()
	}
	return e
}

// get returns the child of a word, or nil.
func (t *wordTable) get(word string) *node {
	if e := t.entry(word); e != nil {
		return e.node.Load()
	}
	return nil
}

// set adds a child or replaces it, and returns the table to use from then on.
func (t *wordTable) set(word string, child *node) *wordTable {
	if e := t.entry(word); e != nil {
		e.node.Store(child)
		return t
	}
	switch {
	case t == nil:
		t = newWordTable(1)
	case t.count >= maxChain*len(t.buckets):
		t = t.resized(4 * len(t.buckets))
	}
	t.insert(word, child)
	return t
}

func (t *wordTable) insert(word string, child *node) {
	e := &wordEntry{word: word}
	e.node.Store(child)
	first := t.bucket(word)
	e.next.Store(first.Load())
	first.Store(e)
	t.count++
}

// remove takes a child out, and returns the table to use from then on.
func (t *wordTable) remove(word string) *wordTable {
	if t == nil {
		return nil
	}
	link := t.bucket(word)
	for e := link.Load(); e != nil; e = link.Load() {
		if e.word == word {
			link.Store(e.next.Load())
			t.count--
			break
		}
		link = &e.next
	}
	switch {
	case t.count == 0:
		return nil
	case len(t.buckets) > 1 && t.count*4 < len(t.buckets):
		return t.resized(len(t.buckets) / 4)
	}
	return t
}

// resized returns a copy with another number of buckets.
func (t *wordTable) resized(buckets int) *wordTable {
	c := newWordTable(max(buckets, 1))
	for i := range t.buckets {
		for e := t.buckets[i].Load(); e != nil; e = e.next.Load() {
			c.insert(e.word, e.node.Load())
		}
	}
	return c
}

// any returns one of the children.
func (t *wordTable) any() *node {
	for i := range t.buckets {
		if e := t.buckets[i].Load(); e != nil {
			return e.node.Load()
		}
	}
	return nil
}
