//go:build linux

package sdnotify

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// systemd listens as systemd does, and returns what it receives.
func systemd(t *testing.T, name string) (heard func() string) {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return func() string {
		t.Helper()
		buf := make([]byte, 4096)
		require.NoError(t, l.SetReadDeadline(time.Now().Add(90*time.Second)))
		n, err := l.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
}

func TestNotifierSpeaksTheProtocol(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), "@stompbox-test-" + strconv.Itoa(os.Getpid())} {
		heard := systemd(t, socket)
		t.Setenv("NOTIFY_SOCKET", socket)
		n, err := FromEnvironment()
		require.NoError(t, err)
		require.True(t, n.Enabled())
		require.Empty(t, os.Getenv("NOTIFY_SOCKET"), "children must not inherit it")

		require.NoError(t, n.Ready("serving\nWATCHDOG=trigger"))
		require.Equal(t, "READY=1\nSTATUS=serving", heard(), "a status adds no field")
		require.NoError(t, n.Stopping("draining", 90*time.Second))
		require.Equal(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\nSTATUS=draining", heard())

		before := monotonic().Microseconds()
		require.NoError(t, n.Reloading())
		first, at, _ := strings.Cut(heard(), "\nMONOTONIC_USEC=")
		require.Equal(t, "RELOADING=1", first)
		usec, err := strconv.ParseInt(at, 10, 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, usec, before)
		require.LessOrEqual(t, usec, monotonic().Microseconds())
	}
}

func TestWithoutSystemdNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000")
	n, err := FromEnvironment()
	require.NoError(t, err)
	require.False(t, n.Enabled())
	require.NoError(t, n.Ready("x"))
	n.Watch(context.Background(), func(context.Context) error { panic("there is no watchdog") }, slog.Default())
}

func TestAWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "@nowhere")
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	n, err := FromEnvironment()
	require.NoError(t, err)
	require.Zero(t, n.watchdog)

	t.Setenv("NOTIFY_SOCKET", "@nowhere")
	t.Setenv("WATCHDOG_USEC", "soon")
	_, err = FromEnvironment()
	require.ErrorContains(t, err, `WATCHDOG_USEC "soon"`)
}

// TestTheWatchdogIsFedOnlyWhileAlive: after a probe failed there is no ping until one
// succeeds again.
func TestTheWatchdogIsFedOnlyWhileAlive(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	heard := systemd(t, socket)
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n, err := FromEnvironment()
	require.NoError(t, err)
	require.Equal(t, 2*time.Millisecond, n.watchdog)

	ctx, cancel := context.WithCancel(context.Background())
	calls, done := 0, make(chan struct{})
	alive := func(probe context.Context) error {
		_, bounded := probe.Deadline()
		require.True(t, bounded)
		calls++
		switch calls {
		case 1:
			return nil
		case 4:
			// The failures before this call have sent nothing, so that what is heard
			// after the first ping is what the test itself sends.
			require.NoError(t, n.send("MARK=1"))
			return nil
		case 5:
			cancel()
		}
		return errors.New("it hangs")
	}
	go func() {
		defer close(done)
		n.Watch(ctx, alive, slog.New(slog.DiscardHandler))
	}()
	require.Equal(t, "WATCHDOG=1", heard())
	require.Equal(t, "MARK=1", heard())
	require.Equal(t, "WATCHDOG=1", heard())
	<-done
}
