package trim

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlainBytesNeedLittleRoomForGarbage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live, scannable uint64
		want            int
	}{
		{0, 0, 100},
		{40 * mega, 30 * mega, 100},
		{40 * mega, 24 * mega, 100},
		{100 * mega, 100 * mega, 100},
		{20 * mega, 30 * mega, 100}, // more was allocated meanwhile
		{152 * mega, 32 * mega, 41},
		{116 * mega, 0, 25},
		{6000 * mega, 4000 * mega, 93}, // a million sessions
		{600 * mega, 80 * mega, 28},
	} {
		require.Equal(t, c.want, percentFor(c.live, c.scannable), "%d of %d MiB", c.scannable/mega, c.live/mega)
	}
}

// TestGarbageIsCollectedSoonerBesidePlainBytes, and as usual once they are gone.
func TestGarbageIsCollectedSoonerBesidePlainBytes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Setenv("GOGC", "")
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	collectUntil := func(is func(percent uint64) bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			runtime.GC()
			return is(percent())
		}, 2*time.Minute, time.Millisecond)
	}
	pace(ctx)
	kept := make([]byte, 256*mega)
	collectUntil(func(percent uint64) bool { return percent < 50 })
	runtime.KeepAlive(kept)
	kept = nil
	collectUntil(func(percent uint64) bool { return percent == usualPercent })
	require.Nil(t, kept)
	kept = make([]byte, 256*mega)
	collectUntil(func(percent uint64) bool { return percent < 50 })
	cancel()
	collectUntil(func(percent uint64) bool { return percent == usualPercent })
	runtime.KeepAlive(kept)
}

func TestGOGCOfTheOperatorStays(t *testing.T) {
	t.Setenv("GOGC", "150")
	pace(t.Context())
	kept := make([]byte, 256*mega)
	for range 3 {
		runtime.GC()
	}
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	require.EqualValues(t, usualPercent, sample[0].Value.Uint64(), "what the runtime read at its start")
	runtime.KeepAlive(kept)
}
