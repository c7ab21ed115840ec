package logattr

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxBurst is how many warnings with the same message come one after the other before
	// there is one a second of them.
	maxBurst = 20
	// maxMessages bounds the messages that are known. Those of a program are far fewer.
	maxMessages = 1000
)

// Limit bounds how often a handler gets warnings with the same message, so that no number
// of connections or messages fills the log. The next one says how many were left out, as
// suppressed. Other levels pass.
func Limit(next slog.Handler) slog.Handler {
	return limiter{next, &limits{byMessage: make(map[string]*limit)}}
}

type limiter struct {
	next   slog.Handler
	limits *limits
}

type limits struct {
	mu        sync.Mutex // guards the following
	byMessage map[string]*limit
}

type limit struct {
	rate       *rate.Limiter
	suppressed int
}

func (l limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

func (l limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limiter{l.next.WithAttrs(attrs), l.limits}
}

func (l limiter) WithGroup(name string) slog.Handler {
	return limiter{l.next.WithGroup(name), l.limits}
}

func (l limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelWarn {
		return l.next.Handle(ctx, r)
	}
	passes, suppressed := l.limits.take(r)
	if !passes {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return l.next.Handle(ctx, r)
}

// take reports whether a record passes, and how many like it did not before.
func (l *limits) take(r slog.Record) (passes bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.byMessage[r.Message]
	if known == nil {
		if len(l.byMessage) >= maxMessages {
			clear(l.byMessage)
		}
		known = &limit{rate: rate.NewLimiter(1, maxBurst)}
		l.byMessage[r.Message] = known
	}
	return known.take(r.Time)
}

// take reports whether one more passes, and how many before it did not.
func (l *limit) take(now time.Time) (passes bool, suppressed int) {
	if !l.rate.AllowN(now, 1) {
		l.suppressed++
		return false, 0
	}
	suppressed, l.suppressed = l.suppressed, 0
	return true, suppressed
}
