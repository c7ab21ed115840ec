package broker

import (
	"maps"
	"slices"
)

// firstNames collect the first names in order, each with a count. A page of a list costs a
// comparison for each name that there is, and not that they are all sorted.
type firstNames struct {
	after  string // only those behind it
	limit  int    // 0: all
	counts map[string]int
	last   string // no later name is among them, once some are left out
	full   bool   // some are
}

func newFirstNames(after string, limit int) *firstNames {
	return &firstNames{after: after, limit: limit, counts: make(map[string]int)}
}

// wants reports whether a name may be among the first.
func (f *firstNames) wants(name string) bool { return name > f.after && !(f.full && name > f.last) }

// add counts a name that is wanted.
func (f *firstNames) add(name string, n int) {
	f.counts[name] += n
	if f.limit > 0 && len(f.counts) >= 2*f.limit {
		f.sorted()
	}
}

// sorted leaves out all but the first, and returns them.
func (f *firstNames) sorted() []string {
	names := slices.Sorted(maps.Keys(f.counts))
	if f.limit == 0 || len(names) <= f.limit {
		return names
	}
	for _, name := range names[f.limit:] {
		delete(f.counts, name)
	}
	names = names[:f.limit]
	f.last, f.full = names[f.limit-1], true
	return names
}
