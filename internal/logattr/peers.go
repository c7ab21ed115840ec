package logattr

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// peerBurst is how many lines one peer has at once, and peerRate how many a second then.
	peerBurst = 1000
	peerRate  = 10
	// maxPeers bounds the peers that are remembered.
	maxPeers = 10_000
)

// Peers bound how many lines of a log are about one peer, such as a user, who can make some
// by each connection: 1000 at once and then 10 a second. The zero value is ready for use. It is
// safe for concurrent use.
type Peers struct {
	mu     sync.Mutex // guards the following
	byPeer map[string]*limit
}

// Take reports whether a line about a peer is to be written, and how many before it were not.
func (p *Peers) Take(peer string) (passes bool, suppressed int) { return p.takeAt(peer, time.Now()) }

func (p *Peers) takeAt(peer string, now time.Time) (passes bool, suppressed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.byPeer[peer]
	if known == nil {
		if len(p.byPeer) >= maxPeers {
			p.makeRoomLocked(now)
		}
		if p.byPeer == nil {
			p.byPeer = make(map[string]*limit)
		}
		known = &limit{rate: rate.NewLimiter(peerRate, peerBurst)}
		p.byPeer[peer] = known
	}
	return known.take(now)
}

// makeRoomLocked drops those who may have all their lines again, or a tenth of all where too
// many may not.
func (p *Peers) makeRoomLocked(now time.Time) {
	for peer, known := range p.byPeer {
		if known.rate.TokensAt(now) >= peerBurst {
			delete(p.byPeer, peer)
		}
	}
	for peer := range p.byPeer {
		if len(p.byPeer) < maxPeers*9/10 {
			return
		}
		delete(p.byPeer, peer)
	}
}
