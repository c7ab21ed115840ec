// Package logattr keeps log lines short, whatever peers send.
package logattr

import (
	"log/slog"
	"strings"
	"time"
)

const (
	// maxValue is how many bytes of an attribute a line has.
	maxValue = 1024
	// maxStack is how many of a stack, and of a message, which may hold one.
	maxStack = 64 << 10
)

// Cut is a ReplaceAttr of slog.HandlerOptions that cuts text and errors where they are
// long, and has durations read like 1.5s in JSON too. The handlers of slog quote what is in them, so it stays on its line.
func Cut(_ []string, a slog.Attr) slog.Attr {
	limit := maxValue
	if a.Key == "stack" || a.Key == slog.MessageKey {
		limit = maxStack
	}
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(readable(a.Value.Duration()).String())
		return a
	}
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = cut(a.Value, v, limit)
	case error:
		a.Value = cut(a.Value, v.Error(), limit)
	}
	return a
}

// readable drops digits of a duration that tell a reader nothing.
func readable(d time.Duration) time.Duration {
	switch {
	case d.Abs() >= time.Second:
		return d.Round(time.Millisecond)
	case d.Abs() >= time.Millisecond:
		return d.Round(time.Microsecond)
	}
	return d
}

func cut(value slog.Value, text string, limit int) slog.Value {
	if len(text) <= limit {
		return value
	}
	return slog.StringValue(strings.ToValidUTF8(text[:limit], "") + "...")
}
