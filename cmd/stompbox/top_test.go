//go:build linux

package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stompbox/stompbox/internal/test"
)

// watchedNode runs a node with a client of alice, and returns how top asks it.
func watchedNode(t *testing.T) (p *process, c *test.Client, args []string) {
	t.Helper()
	admin, token := test.Address(t), tokenFile(t, adminToken)
	p = serve(t, []string{"STOMPBOX_ADMIN_TOKEN_FILE=" + token, "STOMPBOX_CLUSTER_NODE=n1"}, "--dev", "--admin", admin)
	_, alice := get(t, "http://"+p.http+"/dev/token?user=alice")
	c = test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect("Authorization", "Bearer "+alice)
	c.Subscribe("s", "/topic/a")
	return p, c, []string{"top", "--url", "http://" + admin, "--token-file", token, "--interval", "200ms"}
}

// TestTopPrintsAPage where it does not run in a terminal.
func TestTopPrintsAPage(t *testing.T) {
	t.Parallel()
	p, c, args := watchedNode(t)
	out, stderr, err := run(t, nil, append(args, "--once")...)
	require.NoError(t, err, stderr)
	require.Regexp(t, `(?m)^stompbox +\S+ +1 node +1 session +1 subscription$`, out)
	require.Regexp(t, `(?m)^n1 +\d+s +serving +1 +1 +0 +0 +0 +0 +0$`, out)
	require.Regexp(t, `(?m)^alice +0 +- +0 +0 +\d+s +websocket +n1 +127\.0\.0\.1:\d+ +`+c.Connected.Get("session")+"$", out)
	require.NotContains(t, out, "\x1b")

	for says, more := range map[string][]string{
		"use slowest, in, out or user": {"--order", "size"},
		"--interval has to be":         {"--interval", "1ms"},
		"401":                          {"--token-file", tokenFile(t, strings.Repeat("wrong", 8))},
	} {
		_, stderr, err := run(t, nil, append(args, more...)...)
		require.Error(t, err)
		require.Contains(t, stderr, says)
	}
	p.stop(t)
}

// TestNamesOfClientsControlNoTerminal of an operator.
func TestNamesOfClientsControlNoTerminal(t *testing.T) {
	t.Parallel()
	p, _, args := watchedNode(t)
	_, name := get(t, "http://"+p.http+"/dev/token?user=mal%1B[2Jlory")
	test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect("Authorization", "Bearer "+name)
	for _, command := range [][]string{{"top", "--once"}, {"users"}, {"sessions"}} {
		out, stderr, err := run(t, nil, append(command, args[1:5]...)...)
		require.NoError(t, err, stderr)
		require.Contains(t, out, `mal\x1b[2Jlory`)
		require.NotContains(t, out, "\x1b")
	}
	p.stop(t)
}

// pseudoTerminal returns both ends of one with 30 lines of 120 characters.
func pseudoTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 120}))
	return master, terminal
}

// screenOf returns what is written to a pseudo-terminal. All has come once done is closed: the other
// end is.
func screenOf(master *os.File) (screen *test.Log, done <-chan struct{}) {
	screen, ended := new(test.Log), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(screen, master)
	}()
	return screen, ended
}

// TestTopInATerminal draws again and again, does what keys say, waits for a broker that
// is away, and leaves the terminal as it was.
func TestTopInATerminal(t *testing.T) {
	t.Parallel()
	p, _, args := watchedNode(t)
	master, terminal := pseudoTerminal(t)
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	require.NoError(t, err)
	cmd := command(t, nil, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	screen, _ := screenOf(master)
	// shows waits for a drawing with a text, of those that come from now on.
	shows := func(text string) {
		t.Helper()
		from := len(screen.String())
		require.Eventually(t, func() bool { return strings.Contains(screen.String()[from:], text) }, test.Patience, 20*time.Millisecond, "%q in %q", text, screen)
	}
	press := func(key, text string) {
		t.Helper()
		from := len(screen.String())
		_, err := master.WriteString(key)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return strings.Contains(screen.String()[from:], text) }, test.Patience, 20*time.Millisecond, "%q in %q", text, screen)
	}
	require.Eventually(t, func() bool { return strings.HasPrefix(screen.String(), enterScreen+toBegin+"stompbox ") }, test.Patience, 20*time.Millisecond, "%q", screen)
	shows("alice ")
	press("o", "by out")
	press("i", "by in")
	press("u", "by user")
	press("s", "by slowest")
	press(" ", "paused")
	press(" ", "by slowest   s slowest")
	test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect()
	shows("2 sessions  1 subscription")
	shows("guest ")
	p.stop(t)
	shows("stompbox  NO ANSWER since ")
	shows(": no program listens there")
	_, err = master.WriteString("q")
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
	require.Eventually(t, func() bool { return strings.HasSuffix(screen.String(), leaveScreen) }, test.Patience, 20*time.Millisecond, "%q", screen)
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	require.NoError(t, err)
	require.Equal(t, before, after)
}
