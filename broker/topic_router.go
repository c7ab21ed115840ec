package broker

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

const routerShards = 64

// router finds the local subscriptions of a routing key. A publish without
// wildcard subscriptions costs one map look-up under a read lock and one atomic
// load, whatever the number of subscribers.
type router struct {
	seed   maphash.Seed
	bus    driver.Bus
	shards [routerShards]routerShard
	wild   trie
	// arrived is called for a message of another node.
	arrived func(g *group, m *driver.Message)
}

type routerShard struct {
	// change is held while a group is made or ended, which may wait for the relay;
	// mu only to read and write the map, so that no publish waits for a link.
	change sync.Mutex
	mu     sync.RWMutex
	groups map[string]*group
}

// group is all local subscriptions to one key or pattern, and the interest that
// they have in common.
type group struct {
	pattern destination.Pattern

	mu          sync.Mutex
	subs        []*subscription
	snapshot    atomic.Pointer[[]*subscription] // nil after a change
	unsubscribe func()
	confirmed   atomic.Bool // the interest was flushed
}

func newRouter(bus driver.Bus, arrived func(*group, *driver.Message)) *router {
	r := &router{seed: maphash.MakeSeed(), bus: bus, arrived: arrived}
	for i := range r.shards {
		r.shards[i].groups = make(map[string]*group)
	}
	return r
}

func (r *router) shard(key string) *routerShard {
	return &r.shards[maphash.String(r.seed, key)%routerShards]
}

// add registers a subscription and declares the interest if it is the first.
func (r *router) add(s *subscription) (*group, error) {
	key := s.pattern.String()
	shard := r.shard(key)
	shard.change.Lock()
	defer shard.change.Unlock()
	g := shard.get(key)
	if g != nil {
		g.add(s)
		return g, nil
	}
	g = &group{pattern: s.pattern}
	g.add(s)
	shard.set(key, g)
	if destination.HasWildcard(key) {
		r.wild.add(g)
	}
	unsubscribe, err := r.bus.Subscribe(key, func(m *driver.Message) { r.arrived(g, m) })
	if err != nil {
		r.dropLocked(shard, g)
		return nil, err
	}
	g.unsubscribe = unsubscribe
	return g, nil
}

// remove takes a subscription out, and the interest with the last one.
func (r *router) remove(s *subscription) {
	key := s.pattern.String()
	shard := r.shard(key)
	shard.change.Lock()
	defer shard.change.Unlock()
	g := shard.get(key)
	if g == nil || !g.remove(s) {
		return
	}
	r.dropLocked(shard, g)
	g.unsubscribe()
}

// dropLocked forgets a group. The shard's change is held.
func (r *router) dropLocked(shard *routerShard, g *group) {
	key := g.pattern.String()
	shard.set(key, nil)
	if destination.HasWildcard(key) {
		r.wild.remove(g)
	}
}

func (s *routerShard) get(key string) *group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.groups[key]
}

func (s *routerShard) set(key string, g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g == nil {
		delete(s.groups, key)
		return
	}
	s.groups[key] = g
}

// find calls yield with each group that the key belongs to. The broker's own
// topics belong to no wildcard that does not name them.
func (r *router) find(key string, yield func(*group)) {
	if g := r.shard(key).get(key); g != nil {
		yield(g)
	}
	if destination.IsReserved(key) {
		r.wild.find(key, func(g *group) {
			if destination.IsReserved(g.pattern.String()) {
				yield(g)
			}
		})
		return
	}
	r.wild.find(key, yield)
}

// each calls visit with all groups.
func (r *router) each(visit func(*group)) {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.RLock()
		some := make([]*group, 0, len(shard.groups))
		for _, g := range shard.groups {
			some = append(some, g)
		}
		shard.mu.RUnlock()
		for _, g := range some {
			visit(g)
		}
	}
}

// usersAt counts the sessions of each user that are subscribed to just this key.
func (r *router) usersAt(key string) map[string]int {
	counts := make(map[string]int)
	if g := r.shard(key).get(key); g != nil {
		for _, s := range g.all() {
			counts[s.session.user]++
		}
	}
	return counts
}

func (g *group) add(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.index = len(g.subs)
	g.subs = append(g.subs, s)
	g.snapshot.Store(nil)
}

// remove reports whether the group is empty now.
func (g *group) remove(s *subscription) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.subs) - 1
	if s.index > last || g.subs[s.index] != s {
		return false
	}
	g.subs[s.index] = g.subs[last]
	g.subs[s.index].index = s.index
	g.subs[last] = nil
	g.subs = g.subs[:last]
	g.snapshot.Store(nil)
	return last == 0
}

// all returns the subscriptions as they are now. The slice must not be changed.
// It is built again after a change by the next publish, which has to walk it
// anyway, so that neither side ever waits for the other.
func (g *group) all() []*subscription {
	if s := g.snapshot.Load(); s != nil {
		return *s
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := append([]*subscription(nil), g.subs...)
	g.snapshot.Store(&s)
	return s
}
