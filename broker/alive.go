package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxSweepAge is how old the last sweep may be. It is long, as a sweep writes to the
// relay, and a slow link must not have the process killed.
const maxSweepAge = 2 * time.Minute

// liveness is what [Broker.Alive] looks at.
type liveness struct {
	swept atomic.Int64 // when the last sweep ended, by the broker's clock

	mu    sync.Mutex
	probe chan struct{} // closed when the probe under way ends; nil: none is
}

// upkeep looks at all sessions and requests from time to time.
type upkeep struct{ *Broker }

// sweepError reports a sweeper that has stopped, before the broker has.
func (b upkeep) sweepError() error {
	if b.ctx.Err() != nil {
		return nil
	}
	if age := time.Duration(b.clock.now() - b.liveness.swept.Load()); age > maxSweepAge {
		return fmt.Errorf("the broker hangs: the last sweep of the sessions ended %s ago", age.Round(time.Second))
	}
	return nil
}

// startProbe returns the probe under way, or starts one. All callers share it, so that
// calls do not pile up goroutines behind a lock that hangs.
func (b upkeep) startProbe() <-chan struct{} {
	l := &b.liveness
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probe == nil {
		done := make(chan struct{})
		l.probe = done
		go func() {
			b.touchLocks()
			l.mu.Lock()
			l.probe = nil
			l.mu.Unlock()
			close(done)
		}()
	}
	return l.probe
}

// touchLocks takes and frees each lock that is held for moments only, never while
// waiting for a socket or the relay.
func (b upkeep) touchLocks() {
	for i := range b.registry.shards {
		touch(&b.registry.shards[i].mu)
	}
	for i := range b.router.shards {
		touch(b.router.shards[i].mu.RLocker())
	}
	touch(&b.router.wild.mu)
	touch(&b.queues.mu)
}

func touch(l sync.Locker) {
	l.Lock()
	defer l.Unlock()
}
