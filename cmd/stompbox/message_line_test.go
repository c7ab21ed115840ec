//go:build linux

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// evil is what others can put into names and bodies: a line and columns of its own, and sequences that
// a terminal obeys.
const evil = "a\nroot  99\t1\r\x1b[2J\x1b]0;x\a\u009b31m"

// TestNamesForgeNoRowsAndColumns of any list.
func TestNamesForgeNoRowsAndColumns(t *testing.T) {
	t.Parallel()
	text := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return string(b)
	}
	const at = "2030-01-31T12:00:00Z"
	user := map[string]any{"name": evil, "sessions": 1, "nodes": []string{evil}, "addresses": []string{evil}, "subscriptions": 1}
	session := map[string]any{"id": evil, "user": evil, "node": evil, "remote": evil, "transport": evil, "version": evil, "connected": at}
	node := map[string]any{"name": evil, "id": "x", "server": evil, "started": at}
	url := answering(t, map[string]string{
		"GET /api/users":               text(map[string]any{"users": []any{user}, "missing": []string{evil}}),
		"GET /api/sessions":            text(map[string]any{"sessions": []any{session}}),
		"GET /api/nodes":               text(map[string]any{"nodes": []any{node}, "missing": []string{evil}, "lost": []any{map[string]any{"name": evil, "since": at}}}),
		"GET /api/bans":                text(map[string]any{"bans": []any{map[string]any{"user": evil, "token": evil, "by": evil, "reason": evil, "until": at}}}),
		"GET /api/histories":           text([]any{map[string]any{"name": evil, "match": evil}}),
		"GET /api/queues":              text([]any{map[string]any{"name": "/queue/" + evil}}),
		"POST /api/queues/requeue":     text(map[string]any{"moved": evil, "to": "/queue/" + evil}),
		"POST /api/users/u/disconnect": text(map[string]any{"disconnected": 1, "missing": []string{evil}, "kept": false, "keep_error": evil}),
	})
	for line, lines := range map[string]int{
		"users": 2, "sessions": 2, "nodes": 4, "bans": 2, "history list": 2, "queue list": 2, "queue requeue /queue/a 1": 1, "disconnect u": 1, "top --once --interval 100ms": 0,
	} {
		out, stderr, _ := run(t, nil, append(strings.Fields(line), "--url", url)...)
		for _, text := range []string{out, stderr} {
			require.NotContains(t, strings.ReplaceAll(text, "\n", ""), "\x1b", line)
			require.NotContains(t, text, "\u009b", line)
			require.NotContains(t, text, "\r", line)
			require.NotContains(t, text, "\t", line)
			require.NotRegexp(t, `(?m)^root`, text, line)
		}
		require.NotContains(t, out, "root  99", "%s: only what is printed last in a line has its spaces", line)
		require.Contains(t, out+stderr, `a\nroot`, line)
		if lines > 0 {
			require.Equal(t, lines, strings.Count(out, "\n"), "%s: %s", line, out)
		}
	}
}

// TestBodiesForgeNoLinesAndControlNoTerminal: elsewhere they are as they were sent.
func TestBodiesForgeNoLinesAndControlNoTerminal(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(evil)
	require.NoError(t, err)
	page := `{"messages":[{"headers":{"message-id":"1","user":` + string(body) + `},"body":` + string(body) + `}]}`
	url := answering(t, map[string]string{"GET /api/queues/peek": page, "GET /api/history": page})
	p := serve(t, nil, "--dev")
	c := test.DialAddress(t, p.tcp).Connect()
	store := func() {
		c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", evil)
		c.Receipt("r")
	}
	const (
		piped    = `a\nroot  99` + "\t" + `1\r` + "\x1b[2J\x1b]0;x\a\u009b31m\n"
		terminal = `a\nroot  99\t1\r\x1b[2J\x1b]0;x\x07\u009b31m` + "\r\n"
		who      = `1  a\nroot \x2099\t1\r\x1b[2J\x1b]0;x\x07\u009b31m  `
	)
	for line, before := range map[string]string{
		"queue peek /queue/a --url " + url:                     who,
		"history read /topic/a --url " + url:                   who,
		"subscribe --url ws://" + p.http + "/ws -n 1 /queue/a": "/queue/a  guest  ",
	} {
		if strings.HasPrefix(line, "subscribe") {
			store()
			store()
		}
		out, stderr, err := run(t, nil, strings.Fields(line)...)
		require.NoError(t, err, stderr)
		require.Equal(t, before+piped, out, line)
		require.Equal(t, before+terminal, runInTerminal(t, strings.Fields(line)...), line)
	}
	c.Close()
	p.stop(t)
}

// runInTerminal returns what a command writes to one.
func runInTerminal(t *testing.T, args ...string) string {
	t.Helper()
	master, tty := pseudoTerminal(t)
	cmd := command(t, nil, args...)
	cmd.Stdout = tty
	require.NoError(t, cmd.Start())
	written, done := screenOf(master)
	require.NoError(t, tty.Close())
	require.NoError(t, cmd.Wait())
	<-done
	return written.String()
}

// TestTopWritesNoSequencesToADumbTerminal.
func TestTopWritesNoSequencesToADumbTerminal(t *testing.T) {
	t.Parallel()
	url := answering(t, map[string]string{"GET /api/nodes": `{"nodes":[]}`, "GET /api/sessions": `{"sessions":[]}`})
	master, tty := pseudoTerminal(t)
	cmd := command(t, []string{"TERM=dumb"}, "top", "--interval", "100ms", "--url", url)
	cmd.Stdout = tty
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	screen, _ := screenOf(master)
	require.Eventually(t, func() bool { return strings.Count(screen.String(), "stompbox  ") >= 2 }, test.Patience, 20*time.Millisecond)
	require.NotContains(t, screen.String(), "\x1b")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
}
