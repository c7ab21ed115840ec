package broker

import "sync/atomic"

// minFrameProgress is how much of a frame that has begun has to come within
// Limits.FrameTimeout.
const minFrameProgress = 1 << 10

// arriving is the frame of a session that has begun and is not whole yet.
type arriving struct {
	// since is the clock time at which it began, or of its last progress; 0: there is none.
	since atomic.Int64
	from  int64 // bytes that the session had received by then; the reader's
}

// note is called when a read is handled, with the bytes that the session has received.
func (a *arriving) note(now, received int64) {
	if a.since.Load() == 0 || received-a.from >= minFrameProgress {
		a.from = received
		a.since.Store(now)
	}
}

// end is called before a frame is handled, which may take long.
func (a *arriving) end() {
	if a.since.Load() != 0 {
		a.since.Store(0)
	}
}

// stands reports whether a frame has made no progress for longer than limit, not counting
// the time before resumed, when this process was paused and did not read.
func (a *arriving) stands(now, limit, resumed int64) bool {
	since := a.since.Load()
	return since != 0 && limit > 0 && now-max(since, resumed) > limit
}
