// Package sdnotify tells systemd how a service is doing, as sd_notify(3) does, for
// units of Type=notify with WatchdogSec.
package sdnotify

import (
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier sends to the socket that systemd gave the process. Without one, as outside
// of systemd, every method does nothing. It is safe for concurrent use.
type Notifier struct {
	socket   string
	watchdog time.Duration // how often systemd wants to hear; 0: never
}

// FromEnvironment reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and unsets
// them, so that child processes do not speak for this one.
func FromEnvironment() (*Notifier, error) {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	usec, pid := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if n.socket == "" || usec == "" || (pid != "" && pid != strconv.Itoa(os.Getpid())) {
		return n, nil
	}
	interval, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || interval <= 0 || interval > math.MaxInt64/int64(time.Microsecond) {
		return n, fmt.Errorf("WATCHDOG_USEC %q is not a number of microseconds", usec)
	}
	n.watchdog = time.Duration(interval) * time.Microsecond
	return n, nil
}

// Enabled reports whether systemd listens.
func (n *Notifier) Enabled() bool { return n.socket != "" }

// Ready says that the service has started, or has finished a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+status) }

// Reloading says that a reload has begun. Ready has to follow, also when the reload failed.
func (n *Notifier) Reloading() error {
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10))
}

// Stopping says that the service drains, which may take so long. It extends the unit's
// TimeoutStopSec.
func (n *Notifier) Stopping(status string, extend time.Duration) error {
	return n.send("STOPPING=1", extension(extend), "STATUS="+status)
}

func extension(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// send writes one datagram. A status is cut to its first line, as lines are what
// separates fields.
func (n *Notifier) send(fields ...string) error {
	if n.socket == "" {
		return nil
	}
	for i, field := range fields {
		fields[i], _, _ = strings.Cut(field, "\n")
	}
	// A leading @ is a socket of the abstract namespace, to Go as to systemd.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte(strings.Join(fields, "\n"))); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}
