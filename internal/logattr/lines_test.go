package logattr

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLinesSayHowManyWereLeftOut once there is room again.
func TestLinesSayHowManyWereLeftOut(t *testing.T) {
	t.Parallel()
	var l Lines
	now := time.Now()
	for range maxBurst {
		passes, suppressed := l.takeAt(now)
		require.True(t, passes)
		require.Zero(t, suppressed)
	}
	for range 7 {
		passes, _ := l.takeAt(now)
		require.False(t, passes)
	}
	passes, suppressed := l.takeAt(now.Add(time.Second))
	require.True(t, passes)
	require.Equal(t, 7, suppressed)

	var text bytes.Buffer
	l = Lines{}
	l.Write(slog.New(slog.NewTextHandler(&text, nil)), slog.LevelInfo, "a line", "remote", "192.0.2.1:5")
	require.Equal(t, 1, strings.Count(text.String(), "\n"))
	require.Contains(t, text.String(), `level=INFO msg="a line" remote=192.0.2.1:5`)
}
