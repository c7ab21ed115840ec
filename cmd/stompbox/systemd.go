package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/stompbox/stompbox/internal/sdnotify"
)

// stopMargin is what a stop may take beyond drain.window and drain.timeout, such as to
// close the store.
const stopMargin = 30 * time.Second

// systemd tells the service manager how this process is doing. Where there is none,
// its methods do nothing.
type systemd struct {
	notifier *sdnotify.Notifier
	log      *slog.Logger
	watchdog sync.WaitGroup
	cancel   context.CancelFunc // ends the watchdog
}

func newSystemd(log *slog.Logger) *systemd {
	notifier, err := sdnotify.FromEnvironment()
	d := &systemd{notifier: notifier, log: log, cancel: func() {}}
	d.check(err)
	return d
}

// ready says that the listeners are open. From here on the watchdog is fed while alive
// returns nil, until the process is about to end.
func (d *systemd) ready(alive func(context.Context) error) {
	d.check(d.notifier.Ready("serving"))
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.watchdog.Go(func() { d.notifier.Watch(ctx, alive, d.log) })
}

// reloading says that the configuration is read again, and reloaded that this is over.
func (d *systemd) reloading() { d.check(d.notifier.Reloading()) }

func (d *systemd) reloaded(status string) { d.check(d.notifier.Ready(status)) }

// stopping says that the process drains, for at most so long.
func (d *systemd) stopping(drain time.Duration) {
	d.check(d.notifier.Stopping("draining", drain+stopMargin))
}

// close ends the watchdog.
func (d *systemd) close() {
	d.cancel()
	d.watchdog.Wait()
}

func (d *systemd) check(err error) {
	if err != nil {
		d.log.Warn("systemd is not informed", "error", err)
	}
}
