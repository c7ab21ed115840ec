package openfiles_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/openfiles"
)

func TestSomeFilesAreNotForConnections(t *testing.T) {
	t.Parallel()
	for limit, connections := range map[uint64]int{64: 32, 256: 128, 1024: 768, 65_536: 57_344, 1 << 20: 1<<20 - 10_000, math.MaxUint64: 0, math.MaxInt64: 0} {
		require.Equal(t, connections, openfiles.Connections(limit), "%d", limit)
	}
	soft, hard, err := openfiles.Limit()
	require.NoError(t, err)
	require.LessOrEqual(t, soft, hard)
}
