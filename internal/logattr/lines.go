package logattr

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Lines bound lines of one kind that anyone can cause: 20 at once and then one a second. The next
// line says how many were left out, as suppressed. The zero value is ready for use. It is safe for
// concurrent use.
type Lines struct {
	mu    sync.Mutex // guards the following
	known *limit
}

// Write writes a line, unless there were too many.
func (l *Lines) Write(log *slog.Logger, level slog.Level, message string, attributes ...any) {
	passes, suppressed := l.takeAt(time.Now())
	if !passes {
		return
	}
	if suppressed > 0 {
		attributes = append(attributes, "suppressed", suppressed)
	}
	log.Log(context.Background(), level, message, attributes...)
}

func (l *Lines) takeAt(now time.Time) (passes bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = &limit{rate: rate.NewLimiter(1, maxBurst)}
	}
	return l.known.take(now)
}

// maxText is how many bytes of a text that a peer sent a line has.
const maxText = 500

// Short returns so much of a text that a peer sent as a line may have. A program that embeds the
// broker may have a handler without [Cut].
func Short(text string) string { return text[:min(len(text), maxText)] }
