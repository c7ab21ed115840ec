package logattr_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/logattr"
)

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: logattr.Cut})
		},
		"json": func(b *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{ReplaceAttr: logattr.Cut})
		},
	} {
		var b bytes.Buffer
		log := slog.New(handler(&b))
		log.Warn("kept", "user", "short\nline", "n", 7, "error", errors.New(long), "path", long, "none", error(nil))
		require.Equal(t, 1, strings.Count(b.String(), "\n"), name)
		require.Less(t, b.Len(), 2500, name)
		require.Equal(t, 2, strings.Count(b.String(), strings.Repeat("é", 512)+`...`), name)
		require.Contains(t, b.String(), `short\nline`, name)
		b.Reset()
		log.With("where", long).WithGroup("g").Warn("kept", "stack", long)
		require.Contains(t, b.String(), long, "%s: a stack is whole", name)
		require.Less(t, b.Len(), 12000, name)
	}
}
