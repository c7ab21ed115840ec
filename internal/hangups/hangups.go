// Package hangups has an early SIGHUP not end a process that is about to serve.
package hangups

import (
	"os"
	"os/signal"
	"syscall"
)

// A reload that is asked for before the configuration is read has nothing to do; serve takes the signal over
// before it reads. The other packages take ten milliseconds to be initialized, so main would be too late. This
// one comes before most of them, since it imports little.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		signal.Ignore(syscall.SIGHUP)
	}
}
