package broker

import "sync"

const registryShards = 32

// registry holds all sessions of the node, in shards, so that neither opening a
// session nor sweeping them stops the others.
type registry struct {
	shards [registryShards]registryShard
}

type registryShard struct {
	mu       sync.Mutex
	sessions []*Session
}

func (r *registry) add(s *Session) {
	shard := &r.shards[s.number%registryShards]
	shard.mu.Lock()
	s.index = len(shard.sessions)
	shard.sessions = append(shard.sessions, s)
	shard.mu.Unlock()
}

func (r *registry) remove(s *Session) {
	shard := &r.shards[s.number%registryShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	last := len(shard.sessions) - 1
	if s.index > last || shard.sessions[s.index] != s {
		return
	}
	shard.sessions[s.index] = shard.sessions[last]
	shard.sessions[s.index].index = s.index
	shard.sessions[last] = nil
	shard.sessions = shard.sessions[:last]
}

// each calls visit for every session, without a lock.
func (r *registry) each(visit func(*Session)) {
	var some []*Session
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		some = append(some[:0], shard.sessions...)
		shard.mu.Unlock()
		for _, s := range some {
			visit(s)
		}
	}
}

func (r *registry) empty() bool {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		n := len(shard.sessions)
		shard.mu.Unlock()
		if n > 0 {
			return false
		}
	}
	return true
}
