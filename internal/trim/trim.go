// Package trim has a program keep less memory than Go would. Go keeps room for as much garbage
// as it has live objects. A server whose clients have all connected and wait does not need it,
// so it is given back to the operating system. Nor does one that keeps large messages for
// clients, so its garbage is collected sooner.
package trim

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// every is how often the trimmer looks.
	every = 2 * time.Second
	// minQuiet is how much a quiet program allocates between two looks at most, where
	// little of its memory is live.
	minQuiet = 1 << 20
	// minReclaimable is how much has to be there to give back.
	minReclaimable = 8 << 20
	// maxShare bounds the time that trimming takes, which is one garbage collection: the next
	// comes after that many times as long as the last took.
	maxShare = 200
	minPause = 10 * time.Second
)

// Run trims the memory of the process until ctx is done.
func Run(ctx context.Context) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	pace(ctx)
	t := trimmer{usage: newReader().read, release: debug.FreeOSMemory, now: time.Now}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			t.look()
		}
	}
}

// usage is what the runtime says of memory, in bytes.
type usage struct {
	allocated uint64 // since the start
	live      uint64 // found by the last garbage collection
	objects   uint64 // live or not collected yet
	free      uint64 // kept by the runtime for what comes
}

// trimmer decides when to give memory back.
type trimmer struct {
	usage   func() usage
	release func()
	now     func() time.Time

	allocated uint64 // at the last look
	notBefore time.Time
}

// look gives memory back where little was allocated since the last look and enough can
// be had.
func (t *trimmer) look() {
	u := t.usage()
	fresh := u.allocated - t.allocated
	t.allocated = u.allocated
	if fresh > max(minQuiet, u.live/64) || u.objects+u.free < u.live+max(minReclaimable, u.live/4) {
		return
	}
	began := t.now()
	if began.Before(t.notBefore) {
		return
	}
	t.release()
	ended := t.now()
	t.notBefore = ended.Add(max(minPause, maxShare*ended.Sub(began)))
}

// reader reads the runtime's metrics.
type reader struct{ samples []metrics.Sample }

func newReader() *reader {
	return &reader{[]metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}}
}

func (r *reader) read() usage {
	metrics.Read(r.samples)
	value := func(i int) uint64 { return r.samples[i].Value.Uint64() }
	return usage{allocated: value(0), live: value(1), objects: value(2), free: value(3)}
}
