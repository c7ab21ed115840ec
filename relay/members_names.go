package relay

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// A process has an id of its own, and a node keeps its name when it is started again. The
// process before may have had no time to say that it goes. So the one that comes with a name
// replaces the one that had it. If that one goes on all the same, two live nodes have
// one name: then both count, and the log and a metric say so.

const (
	// rememberGone is how long a process is remembered that does not count any more: what it
	// said last may still be on its way.
	rememberGone = time.Minute
	// conflictAgain is how often the log says at most that two nodes have a name.
	conflictAgain = time.Minute
)

// goneMember is a process that does not count: it said that it goes, or another one has taken
// its name.
type goneMember struct {
	at    time.Time
	left  bool
	heard int // how often, since it was replaced
}

// countsLocked reports whether a node that says something counts, and whether it did not
// before. One that was replaced counts again if it is alive: it says more than could be on
// its way by then, or no other has its name any more.
func (m *members) countsLocked(id string, other member, now time.Time) (counts, again bool) {
	gone, isGone := m.gone[id]
	if !isGone {
		if _, old := m.known[id]; old || other.name != m.link.name || m.hasNameLocked(other.name, id) {
			return true, false
		}
		// It has the name of this node, which lives: so it has to be heard again.
		m.rememberLocked(id, goneMember{at: now, heard: 1})
		return false, false
	}
	if gone.left {
		return false, false
	}
	gone.heard++
	m.gone[id] = gone
	alive := gone.heard > 1 && now.Sub(gone.at) >= helloEvery
	if !alive && (other.name == m.link.name || m.hasNameLocked(other.name, id)) {
		return false, false
	}
	delete(m.gone, id)
	return true, true
}

// hasNameLocked reports whether another process than id has a name.
func (m *members) hasNameLocked(name, id string) bool {
	for known, other := range m.known {
		if known != id && other.name == name {
			return true
		}
	}
	return false
}

// Lost returns the nodes that went silent in the last hour and are not back, by name. See
// [driver.LostNodes].
func (m *members) Lost() []driver.LostNode {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []driver.LostNode
	for name, heard := range m.lostAt {
		if time.Since(heard) <= rememberLost {
			all = append(all, driver.LostNode{Name: name, Heard: heard})
		}
	}
	slices.SortFunc(all, func(a, b driver.LostNode) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// forgetLostLocked makes room for another node that is lost.
func (m *members) forgetLostLocked(now time.Time) {
	if len(m.lostAt) >= maxLost {
		maps.DeleteFunc(m.lostAt, func(_ string, heard time.Time) bool { return now.Sub(heard) > rememberLost })
	}
}

// replaceLocked forgets the process that had the name of one that is new, and returns it. Of
// nodes that are known to have one name it replaces none.
func (m *members) replaceLocked(id, name string, now time.Time) map[string]member {
	if _, conflict := m.warned[name]; conflict {
		return nil
	}
	replaced := make(map[string]member)
	for known, other := range m.known {
		if known == id || other.name != name {
			continue
		}
		replaced[known] = other
		delete(m.known, known)
		m.rememberLocked(known, goneMember{at: now})
		m.replacedAt = now
	}
	return replaced
}

// rememberLocked remembers a process that is gone. What was remembered for long enough is
// forgotten, and where too many are gone, the first of them.
func (m *members) rememberLocked(id string, gone goneMember) {
	maps.DeleteFunc(m.gone, func(_ string, g goneMember) bool { return gone.at.Sub(g.at) > rememberGone })
	if len(m.gone) >= maxLost {
		first := slices.MinFunc(slices.Collect(maps.Keys(m.gone)), func(a, b string) int { return m.gone[a].at.Compare(m.gone[b].at) })
		delete(m.gone, first)
	}
	m.gone[id] = gone
}

// conflictsLocked returns the names that more than one live node has, with their ids.
func (m *members) conflictsLocked() map[string][]string {
	byName := map[string][]string{m.link.name: {m.link.id}}
	for id, other := range m.known {
		byName[other.name] = append(byName[other.name], id)
	}
	maps.DeleteFunc(byName, func(_ string, ids []string) bool { return len(ids) < 2 })
	return byName
}

// warnOfConflicts says which nodes have one name, now and then while it is so.
func (m *members) warnOfConflicts(now time.Time) {
	m.mu.Lock()
	conflicts := m.conflictsLocked()
	maps.DeleteFunc(m.warned, func(name string, _ time.Time) bool { return conflicts[name] == nil })
	maps.DeleteFunc(conflicts, func(name string, _ []string) bool {
		last, warned := m.warned[name]
		return warned && now.Sub(last) < conflictAgain
	})
	for name := range conflicts {
		m.warned[name] = now
	}
	m.mu.Unlock()
	for name, ids := range conflicts {
		slices.Sort(ids)
		m.link.log.Warn("two nodes have one name; give each its own cluster.node, and start one of them again", "peer", name, "ids", ids)
	}
}

// conflicts returns how many names more than one live node has.
func (m *members) conflicts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.conflictsLocked())
}

// replacedLately reports whether a process died that others would still wait for if it had
// not been started again at once.
func (m *members) replacedLately() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.replacedAt) < lostAfter
}
