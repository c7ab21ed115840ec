package broker

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/auth"
)

const routerShards = 64

// router finds the local subscriptions of a routing key. A publish without
// wildcard subscriptions costs one map look-up under a read lock and one atomic
// load, whatever the number of subscribers.
type router struct {
	seed   maphash.Seed
	relay  Relay
	shards [routerShards]routerShard
	wild   trie
	// arrived is called for a message of another node.
	arrived func(g *group, m *Message)
}

type routerShard struct {
	mu     sync.RWMutex
	groups map[string]*group
}

// group is all local subscriptions to one key or pattern, and the interest that
// they have in common.
type group struct {
	pattern auth.Pattern

	mu          sync.Mutex
	subs        []*subscription
	snapshot    atomic.Pointer[[]*subscription] // nil after a change
	unsubscribe func()
	confirmed   atomic.Bool // the interest was flushed
}

func newRouter(relay Relay, arrived func(*group, *Message)) *router {
	r := &router{seed: maphash.MakeSeed(), relay: relay, arrived: arrived}
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
	shard.mu.Lock()
	defer shard.mu.Unlock()
	g := shard.groups[key]
	if g == nil {
		g = &group{pattern: s.pattern}
		unsubscribe, err := r.relay.Subscribe(key, func(m *Message) { r.arrived(g, m) })
		if err != nil {
			return nil, err
		}
		g.unsubscribe = unsubscribe
		shard.groups[key] = g
		if auth.HasWildcard(key) {
			r.wild.add(g)
		}
	}
	g.add(s)
	return g, nil
}

// remove takes a subscription out, and the interest with the last one.
func (r *router) remove(s *subscription) {
	key := s.pattern.String()
	shard := r.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	g := shard.groups[key]
	if g == nil || !g.remove(s) {
		return
	}
	delete(shard.groups, key)
	if auth.HasWildcard(key) {
		r.wild.remove(g)
	}
	g.unsubscribe()
}

// find calls yield with each group that the key belongs to.
func (r *router) find(key string, yield func(*group)) {
	shard := r.shard(key)
	shard.mu.RLock()
	g := shard.groups[key]
	shard.mu.RUnlock()
	if g != nil {
		yield(g)
	}
	r.wild.find(key, yield)
}

func (g *group) add(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.place = len(g.subs)
	g.subs = append(g.subs, s)
	g.snapshot.Store(nil)
}

// remove reports whether the group is empty now.
func (g *group) remove(s *subscription) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.subs) - 1
	if s.place > last || g.subs[s.place] != s {
		return false
	}
	g.subs[s.place] = g.subs[last]
	g.subs[s.place].place = s.place
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
