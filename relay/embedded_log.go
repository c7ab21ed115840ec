package relay

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// logAgain is after how long the embedded server may say the same again. It says
	// some things for each message, or each attempt to reach another server.
	logAgain = time.Minute
	// maxSaid is how many lines of one kind it may say in that time, such as one for each
	// stream that it cannot read.
	maxSaid = 10
	// maxLogLine bounds one line of it in bytes.
	maxLogLine = 512
)

// natsLogger has warnings and errors of the embedded server in the log of this process,
// such as what it says of files that it cannot read. It is a server.Logger.
type natsLogger struct {
	log    *slog.Logger
	failed chan struct{} // has room for one; gets something when JetStream cannot write

	atStart startReports

	mu     sync.Mutex            // guards the following
	fatal  string                // the last thing that ended the server since it was started
	twinAt time.Time             // when a server of the same name was last refused
	said   map[string]*saidLines // by format, of which there are as many as the server has
}

// connectionPrefix is what the server puts before the format of a line that is about one
// connection: its address, its number, and what a client says of itself.
var connectionPrefix = regexp.MustCompile(`^\S+ - [a-z_]+:\d+ - ("[^"]*" - )*`)

// saidLines are the lines of one format since a time.
type saidLines struct {
	since time.Time
	texts map[string]bool
}

// Noticef is for what goes well.
func (n *natsLogger) Noticef(format string, v ...any) {
	n.log.Debug("NATS: " + line(format, v))
}

// bcryptHint is what the server says of each password that it is given as it is, for
// those that stand in a file of its own. Ours are made for one process, or come from the
// configuration, which has no other way to state them: an operator could do nothing.
const bcryptHint = "Plaintext passwords detected, use nkeys or bcrypt"

// quickSnapshot is what the server says of snapshots of the cluster's state that take less than
// ten seconds. It writes one at each stop, and warns of it as if that were an emergency.
var quickSnapshot = regexp.MustCompile(`^Metalayer blocking snapshot (starting$|took \d\.\d+s)`)

// Warnf is for what may be wrong.
func (n *natsLogger) Warnf(format string, v ...any) {
	switch {
	case format == bcryptHint:
	case quickSnapshot.MatchString(line(format, v)):
		n.Noticef(format, v...)
	default:
		n.warn(format, v)
	}
}

// Errorf is for what is wrong.
func (n *natsLogger) Errorf(format string, v ...any) {
	if !strings.HasSuffix(format, twinReport) {
		n.warn(format, v)
		return
	}
	now := time.Now()
	n.mu.Lock()
	n.twinAt = now
	n.mu.Unlock()
	if !n.saidBefore(twinReport, "", now) {
		n.log.Warn("another node has the name of this one, so they do not join; give each its own cluster.node", "report", line(format, v))
	}
}

// twinReport is what the server says of another one that has its name. It refuses that one.
const twinReport = "Remote server has a duplicate name: %q"

// twinWithin reports whether a server of the same name was refused lately.
func (n *natsLogger) twinWithin(lately time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Since(n.twinAt) < lately
}

// Fatalf is for what ends the server.
func (n *natsLogger) Fatalf(format string, v ...any) {
	n.mu.Lock()
	n.fatal = line(format, v)
	n.mu.Unlock()
	n.warn(format, v)
}

// begin forgets what ended the server before, as it is started again.
func (n *natsLogger) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fatal = ""
}

// lastFatal returns what ended the server, or "".
func (n *natsLogger) lastFatal() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fatal
}

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
	text := line(format, v)
	key := connectionPrefix.ReplaceAllString(format, "")
	if strings.Trim(format, "%s ") == "" {
		key = text[:min(len(text), 40)]
	}
	now := time.Now()
	if n.holdAtStart(format, text, now) {
		n.log.Debug("NATS: " + text)
	} else if !n.saidBefore(key, text, now) {
		n.log.Warn("the embedded NATS server reported something", "report", text)
	}
}

// saidBefore reports whether the same was said within logAgain, or too much of its kind.
func (n *natsLogger) saidBefore(key, text string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.said[key]
	if s == nil || now.Sub(s.since) >= logAgain {
		if n.said == nil || len(n.said) > 1000 {
			n.said = make(map[string]*saidLines)
		}
		s = &saidLines{since: now, texts: make(map[string]bool)}
		n.said[key] = s
	}
	if s.texts[text] || len(s.texts) >= maxSaid {
		return true
	}
	s.texts[text] = true
	return false
}

func line(format string, v []any) string {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	return text[:min(len(text), maxLogLine)]
}
