package broker

import (
	"hash/maphash"
	"sync"
	"time"
)

// durables count the durable subscriptions that each user has made or used on this node.
// Those that are removed, or that the store has forgotten since, count no more.
type durables struct {
	clock *clock
	idle  int64 // after how long without use the store forgets one

	mu     sync.Mutex // guards the following
	seed   maphash.Seed
	byUser map[string]map[uint64]int64 // when each was last attached to, by a hash of its name
}

func newDurables(c *clock, idle time.Duration) *durables {
	return &durables{clock: c, idle: int64(idle), seed: maphash.MakeSeed(), byUser: make(map[string]map[uint64]int64)}
}

// use notes that a user attaches to a durable subscription, and reports whether that is one
// of as many as the limit allows.
func (d *durables) use(user, name string, limit int) bool {
	now, key := d.clock.now(), maphash.String(d.seed, name)
	d.mu.Lock()
	defer d.mu.Unlock()
	theirs := d.byUser[user]
	if _, known := theirs[key]; !known && limit > 0 && len(theirs) >= limit {
		for other, used := range theirs {
			if now-used > d.idle {
				delete(theirs, other)
			}
		}
		if len(theirs) >= limit {
			return false
		}
	}
	if theirs == nil {
		theirs = make(map[uint64]int64)
		d.byUser[user] = theirs
	}
	theirs[key] = now
	return true
}

// remove forgets a durable subscription that is no more.
func (d *durables) remove(user, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	theirs := d.byUser[user]
	if delete(theirs, maphash.String(d.seed, name)); len(theirs) == 0 {
		delete(d.byUser, user)
	}
}
