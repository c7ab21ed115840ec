package trim

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mega = 1 << 20

// TestMemoryIsGivenBackWhenItIsQuiet, where there is some, and not all the time.
func TestMemoryIsGivenBackWhenItIsQuiet(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var u usage
	took, released := time.Second, 0
	trimmer := trimmer{usage: func() usage { return u }, now: func() time.Time { return now }}
	trimmer.release = func() { now = now.Add(took); released++ }
	look := func(next usage) bool {
		before := released
		u = next
		now = now.Add(every)
		trimmer.look()
		return released > before
	}
	require.False(t, look(usage{allocated: 100 * mega, live: 20 * mega, objects: 60 * mega}), "much was allocated")
	require.False(t, look(usage{allocated: 101 * mega, live: 20 * mega, objects: 27 * mega}), "there is little to give back")
	require.False(t, look(usage{allocated: 101 * mega, live: 400 * mega, objects: 480 * mega}), "or little of all")
	require.True(t, look(usage{allocated: 102 * mega, live: 20 * mega, objects: 30 * mega, free: 20 * mega}))
	for now.Before(time.Unix(0, 0).Add(4*every + took + maxShare*took - every)) {
		require.False(t, look(u), "the last time took long")
	}
	require.True(t, look(u))
	require.False(t, look(usage{allocated: 110 * mega, live: 20 * mega, objects: 60 * mega}))
	require.False(t, look(usage{allocated: 110 * mega, live: 20 * mega, objects: 60 * mega}))
}

func TestTheRuntimeSaysWhatItUses(t *testing.T) {
	t.Parallel()
	r := newReader()
	before := r.read()
	kept := make([]byte, 32*mega)
	after := r.read()
	require.GreaterOrEqual(t, after.allocated-before.allocated, uint64(len(kept)))
	require.GreaterOrEqual(t, after.objects, uint64(len(kept)))
	runtime.GC()
	require.GreaterOrEqual(t, r.read().live, uint64(len(kept)))
	runtime.KeepAlive(kept)
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Run(ctx)
}
