package relay

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// logAgain is after how long the embedded server may say the same again. It says
	// some things for each message, or each attempt to reach another server.
	logAgain = time.Minute
	// maxLogLine bounds one line of it in bytes.
	maxLogLine = 512
)

// natsLogger has warnings and errors of the embedded server in the log of this process,
// such as what it says of files that it cannot read. It is a server.Logger.
type natsLogger struct {
	log    *slog.Logger
	failed chan struct{} // has room for one; gets something when JetStream cannot write

	mu   sync.Mutex           // guards the following
	said map[string]time.Time // by format, of which there are as many as the server has
}

// Noticef is for what goes well.
func (n *natsLogger) Noticef(format string, v ...any) {
	n.log.Debug("NATS: " + line(format, v))
}

// Warnf is for what may be wrong.
func (n *natsLogger) Warnf(format string, v ...any) { n.warn(format, v) }

// Errorf is for what is wrong.
func (n *natsLogger) Errorf(format string, v ...any) { n.warn(format, v) }

// Fatalf is for what ends the server.
func (n *natsLogger) Fatalf(format string, v ...any) { n.warn(format, v) }

// Debugf and Tracef are off.
func (n *natsLogger) Debugf(string, ...any) {}

// Tracef is off.
func (n *natsLogger) Tracef(string, ...any) {}

func (n *natsLogger) warn(format string, v []any) {
	if strings.Contains(format, "Critical write error") {
		select {
		case n.failed <- struct{}{}:
		default:
		}
	}
	now := time.Now()
	text := line(format, v)
	key := format
	if strings.Trim(format, "%s ") == "" {
		key = text[:min(len(text), 40)]
	}
	n.mu.Lock()
	again := now.Sub(n.said[key]) < logAgain
	if !again {
		if n.said == nil || len(n.said) > 1000 {
			n.said = make(map[string]time.Time)
		}
		n.said[key] = now
	}
	n.mu.Unlock()
	if !again {
		n.log.Warn("the embedded NATS server reported something", "report", text)
	}
}

func line(format string, v []any) string {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	return text[:min(len(text), maxLogLine)]
}
