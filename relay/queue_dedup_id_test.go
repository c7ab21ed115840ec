package relay

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestDedupIDsOfAnyLengthTakeLittle: JetStream has all ids of the window in memory.
func TestDedupIDsOfAnyLengthTakeLittle(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("%", 500)
	all := make(map[string]bool)
	for _, internal := range []bool{false, true} {
		for _, key := range []string{"/queue/a", "/queue/b", "/queue/" + long} {
			for _, id := range []string{"1", long, long + "1"} {
				made := dedupID("ann", key, driver.StoreOptions{DedupID: id, Internal: internal})
				require.LessOrEqual(t, len(made), maxPlainDedupID+len("stompbox:"))
				require.False(t, all[made], "each is another one")
				all[made] = true
			}
		}
	}
	require.Equal(t, "ann%20/queue/a%201", dedupID("ann", "/queue/a", driver.StoreOptions{DedupID: "1"}), "a short one stays readable")
}
