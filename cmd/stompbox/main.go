// Command stompbox is a STOMP-over-WebSocket message broker, and a few tools to
// talk to one: see stompbox help.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/stompbox/stompbox/internal/hangups" // serve is not ended by an early one
	"github.com/stompbox/stompbox/internal/printable"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stompbox:", printable.Lines(err.Error()))
		os.Exit(1)
	}
}
