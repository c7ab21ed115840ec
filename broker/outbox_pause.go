package broker

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A node whose goroutines wait for a processor writes less often, and more at once: most of
// what a delivery costs is the system call. Only connections that are sent bursts take part,
// so a single message is never held back.
const (
	// minPause and maxPause bound how long a flush waits on a saturated node. It is about as long
	// as the node takes to write to all connections that are sent bursts, pausePerFlush for each
	// of them: those that follow a shorter pause would meet what the others are still being sent.
	minPause, maxPause = 25 * time.Millisecond, 100 * time.Millisecond
	pausePerFlush      = 25 * time.Microsecond
	// saturatedLag is how long a flush that yields has to wait for its turn to say that the
	// node is saturated, and saturatedFor how long that counts. minWaiting is how many others
	// have to wait too, for each processor: where there are few, a pause would slow down a
	// peer that sends when it has received, and save little.
	saturatedLag, saturatedFor = 2 * time.Millisecond, 60 * time.Millisecond
	minWaiting                 = 32
	// minBurst is the number of topics' messages that make a write a burst, and burstFor how
	// long the connection counts as one that is sent bursts.
	minBurst, burstFor = 8, 2 * maxPause
)

// pacing is what all outboxes of a broker know of its load.
type pacing struct {
	pause       func(time.Duration) // waits
	minWaiting  int64               // flushes
	waiting     atomic.Int64        // flushes of bursts that wait for their turn
	pausing     atomic.Int64        // flushes that pause
	saturatedAt atomic.Int64        // clock time at which many flushes last waited long for their turn, or 0
}

func newPacing() *pacing {
	return &pacing{pause: time.Sleep, minWaiting: int64(minWaiting * runtime.GOMAXPROCS(0))}
}

// note takes down how long a flush waited for its turn until now, and how many did.
func (p *pacing) note(lag time.Duration, waiting, now int64) {
	if lag >= saturatedLag && waiting >= p.minWaiting && now-p.saturatedAt.Load() > int64(time.Millisecond) {
		p.saturatedAt.Store(now)
	}
}

// pauseFor returns how long a flush waits that is one of n.
func pauseFor(n int64) time.Duration {
	return min(max(time.Duration(n)*pausePerFlush, minPause), maxPause)
}

func (p *pacing) saturated(now int64) bool {
	at := p.saturatedAt.Load()
	return at != 0 && now-at < int64(saturatedFor)
}

// yield lets other goroutines go first: a publisher that has more at hand pushes it meanwhile,
// and one write takes it all along. On a saturated node it waits longer. It reports whether
// the caller still is the one that flushes: no pause holds up what ends a session, or what
// fills the outbox.
func (o *outbox) yield() bool {
	if !o.bursts.Load() {
		runtime.Gosched()
		return true
	}
	before := o.clock.now()
	waiting := o.pacing.waiting.Add(1)
	runtime.Gosched()
	waiting = max(waiting, o.pacing.waiting.Add(-1)+1)
	now := o.clock.now()
	o.pacing.note(time.Duration(now-before), waiting, now)
	if now-o.lastWrite.Load() > int64(burstFor) || !o.pacing.saturated(now) || !o.startPause() {
		return true
	}
	flushes := o.pacing.pausing.Add(1) + o.pacing.waiting.Load()
	o.pacing.pause(pauseFor(flushes))
	o.pacing.pausing.Add(-1)
	o.mu.Lock()
	defer o.mu.Unlock()
	still := o.paused
	o.paused = false
	return still
}

// startPause begins a pause, unless there is a reason to write at once.
func (o *outbox) startPause() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paused = o.state == outboxOpen && len(o.queue) > 0 && !o.pressingLocked()
	return o.paused
}

// pressingLocked reports whether so much is queued that it should not wait.
func (o *outbox) pressingLocked() bool {
	return o.frames > o.options.MaxFrames/8 || o.bytes > min(maxWriteBytes, o.options.MaxBytes/8)
}

// endPause has what waits be written now, as a sign of life to a peer that needs one. It reports
// whether there was a pause.
func endPause(o *outbox) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	paused := o.paused
	if paused {
		o.bursts.Store(false) // or the next flush would pause, too
		o.endPauseLocked()
	}
	return paused
}

// endPauseLocked has another goroutine flush in place of one that pauses.
func (o *outbox) endPauseLocked() {
	if o.paused {
		o.paused = false
		go o.startFlush()
	}
}
