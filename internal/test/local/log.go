// Package local is what tests need that run no broker, such as those inside of a package
// that [github.com/stompbox/stompbox/internal/test] imports.
package local

import (
	"strings"
	"sync"
)

// Log collects log lines. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
