package trim

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// usualPercent is how much garbage Go allows in addition to what is live.
	usualPercent = 100
	// minPlain is how many plain bytes a program has that keeps little, and maxPlain bounds
	// the effect on one that is large for other reasons.
	minPlain, maxPlain = 16 << 20, 512 << 20
	// minChange is by how much the percentage changes at least: each change stops the program
	// for a moment.
	minChange = 5
)

// percentFor returns how much garbage may come, in percent of what is live. A garbage
// collection takes time for what has pointers, and next to none for plain bytes, such as the
// bodies of messages that wait. So those need no room for as much garbage.
func percentFor(live, scannable uint64) int {
	if live == 0 || scannable >= live {
		return usualPercent
	}
	plain := min(live-scannable, maxPlain)
	if plain <= minPlain {
		return usualPercent
	}
	return int(usualPercent - (plain-minPlain)*usualPercent*7/8/live)
}

// pacer sets the percentage after each garbage collection.
type pacer struct {
	ctx     context.Context //nolint:containedctx // a finalizer has no other way to learn of the end
	samples []metrics.Sample
	percent int
	set     func(percent int) int
}

// pace has garbage collections come as percentFor says, until ctx is done. Where the operator
// has set GOGC, it does nothing.
func pace(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &pacer{
		ctx: ctx, percent: usualPercent, set: debug.SetGCPercent,
		samples: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}},
	}
	runtime.SetFinalizer(p, (*pacer).collected)
}

// collected is called after each garbage collection: as nothing refers to the pacer but its
// finalizer, which puts itself in place again.
func (p *pacer) collected() {
	want := usualPercent
	ended := p.ctx.Err() != nil
	if !ended {
		metrics.Read(p.samples)
		want = percentFor(p.samples[0].Value.Uint64(), p.samples[1].Value.Uint64())
	}
	if change := want - p.percent; change >= minChange || change <= -minChange || ended && change != 0 {
		p.percent = want
		p.set(want)
	}
	if !ended {
		runtime.SetFinalizer(p, (*pacer).collected)
	}
}
