package sdnotify

import (
	"context"
	"log/slog"
	"time"
)

// Watch tells systemd that the service lives, twice in each WatchdogSec, as long as
// alive returns nil, until ctx is done. When alive fails, systemd gets no sign of life, and
// kills the process at the end of the interval, with a core dump for the cause.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error, log *slog.Logger) {
	if n.watchdog <= 0 || !n.Enabled() {
		return
	}
	interval := n.watchdog / 2
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		n.ping(ctx, alive, interval, log)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Notifier) ping(ctx context.Context, alive func(context.Context) error, patience time.Duration, log *slog.Logger) {
	probe, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := alive(probe)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		log.Error("the watchdog gets no ping; systemd restarts this process if it lasts", "error", err, "interval", n.watchdog)
		return
	}
	if err := n.send("WATCHDOG=1"); err != nil {
		log.Warn("the watchdog cannot be reached", "error", err)
	}
}
