//go:build linux

package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// TestServeAsAServiceOfSystemd receives what systemd does of a unit of Type=notify-reload with WatchdogSec.
func TestServeAsAServiceOfSystemd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	heard := func() string {
		t.Helper()
		require.NoError(t, l.SetReadDeadline(time.Now().Add(test.Patience)))
		buf := make([]byte, 4096)
		n, err := l.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
	env := []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=20000", "STOMPBOX_DRAIN_WINDOW=3s", "STOMPBOX_DRAIN_TIMEOUT=4s"}
	p := serve(t, env, "--dev")
	require.Equal(t, "READY=1\nSTATUS=serving", heard())
	for range 3 {
		require.Equal(t, "WATCHDOG=1", heard())
	}
	said := func() string {
		for {
			if message := heard(); message != "WATCHDOG=1" {
				return message
			}
		}
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	reloading, at, _ := strings.Cut(said(), "\nMONOTONIC_USEC=")
	require.Equal(t, "RELOADING=1", reloading)
	require.Regexp(t, `^\d+$`, at)
	require.Equal(t, "READY=1\nSTATUS=serving", said())
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	for {
		message := heard()
		if message == "WATCHDOG=1" {
			continue
		}
		require.Equal(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=37000000\nSTATUS=draining", message)
		break
	}
	require.NoError(t, p.cmd.Wait(), p.stderr)
}
