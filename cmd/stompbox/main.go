// Command stompbox is a STOMP-over-WebSocket message broker, and a few tools to
// talk to one: see stompbox help.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/stompbox/stompbox/internal/printable"
)

func main() {
	ignoreEarlyHangups(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stompbox:", printable.Lines(err.Error()))
		os.Exit(1)
	}
}

// ignoreEarlyHangups has SIGHUP not end a process that is about to serve. A reload that is asked for
// before the configuration is read has nothing to do; serve takes the signal over before it reads.
func ignoreEarlyHangups(args []string) {
	if len(args) > 0 && args[0] == "serve" {
		signal.Ignore(syscall.SIGHUP)
	}
}
