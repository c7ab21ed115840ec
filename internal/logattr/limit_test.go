package logattr_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/logattr"
)

func TestWarningsOfOneKindAreLimited(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	h := logattr.Limit(slog.NewTextHandler(&b, nil))
	at := time.Now()
	warn := func(h slog.Handler, level slog.Level, message string) {
		require.NoError(t, h.Handle(context.Background(), slog.NewRecord(at, level, message, 0)))
	}
	for range 100 {
		warn(h, slog.LevelWarn, "many")
		warn(h.WithAttrs([]slog.Attr{slog.String("node", "n1")}), slog.LevelWarn, "many")
		warn(h, slog.LevelInfo, "counted")
		warn(h.WithGroup("g"), slog.LevelError, "wrong")
	}
	warn(h, slog.LevelWarn, "another")
	require.Equal(t, 20, strings.Count(b.String(), "many"))
	require.Equal(t, 100, strings.Count(b.String(), "counted"))
	require.Equal(t, 100, strings.Count(b.String(), "wrong"))
	require.Equal(t, 1, strings.Count(b.String(), "another"))
	b.Reset()
	at = at.Add(time.Second)
	warn(h, slog.LevelWarn, "many")
	warn(h, slog.LevelWarn, "many")
	require.Equal(t, 1, strings.Count(b.String(), "many suppressed=180"), b.String())
	require.Equal(t, 1, strings.Count(b.String(), "many"))
}

func TestDurationsCanBeRead(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: logattr.Cut}))
	log.Info("x", "a", 90*time.Second, "b", 1234567891*time.Nanosecond, "c", 1234567*time.Nanosecond, "d", time.Duration(999))
	require.Contains(t, b.String(), `"a":"1m30s","b":"1.235s","c":"1.235ms","d":"999ns"`)
}
