package trace

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAParentNamesASpan: the versions after the first one begin alike.
func TestAParentNamesASpan(t *testing.T) {
	t.Parallel()
	const valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	require.True(t, IsParent(valid))
	require.True(t, IsParent("01"+valid[2:]))
	for _, text := range []string{
		"", "00", valid[:54], valid + "\n", valid + "\r\nX: y", valid + "-more", " " + valid, "ff" + valid[2:],
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
	} {
		require.False(t, IsParent(text), text)
	}
}
