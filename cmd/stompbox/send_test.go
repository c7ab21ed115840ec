package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/test"
)

// TestSendFailsWhereTheMessageIsNotTaken: scripts go by the exit code.
func TestSendFailsWhereTheMessageIsNotTaken(t *testing.T) {
	t.Parallel()
	rejecting := broker.Interceptor{Send: func(next broker.ActionFunc) broker.ActionFunc {
		return func(ctx context.Context, a *broker.Action) error {
			if string(a.Body) == "swear" {
				return broker.Reject("mind your language")
			}
			return next(ctx, a)
		}
	}}
	n := test.Start(t, test.Options{Broker: broker.Options{Interceptors: []broker.Interceptor{rejecting}}})
	require.NoError(t, n.Broker.Handle("/app/fails", func(context.Context, broker.Request) (*broker.Reply, error) {
		return nil, errors.New("not today")
	}))
	require.NoError(t, n.Broker.Handle("/app/works", func(context.Context, broker.Request) (*broker.Reply, error) { return nil, nil }))
	for _, url := range []string{n.WebSocket, "tcp://" + n.TCP} {
		for _, tt := range []struct{ dest, body, says string }{
			{"/topic/a", "swear", "rejected: mind your language"},
			{"/queue/a", "swear", "rejected: mind your language"},
			{"/app/works", "swear", "rejected: mind your language"},
			{"/app/none", "x", "no-app-server: "},
			{"/app/fails", "x", "app-failed: "},
			{"/nowhere/a", "x", "/nowhere/a"},
			{"/topic/a", "fine", ""},
			{"/queue/a", "fine", ""},
		} {
			_, stderr, err := run(t, nil, "send", "--url", url, "--wait", test.Patience.String(), tt.dest, tt.body)
			if tt.says == "" {
				require.NoError(t, err, "%s: %s", tt.dest, stderr)
				continue
			}
			require.Error(t, err, "%s %s", tt.dest, tt.body)
			require.Contains(t, stderr, tt.says)
		}
		_, stderr, err := run(t, nil, "send", "--url", url, "--wait", "1ms", "/app/works", "x")
		require.NoError(t, err, stderr)
	}

	// One who may not subscribe to where failures are reported can send all the same, once.
	c := test.Dial(t, n).Connect()
	c.Subscribe("t", "/topic/b")
	token := test.Token(t, "sender", time.Hour, auth.Grants{Send: []string{"/topic/**"}, Subscribe: []string{"/topic/none"}})
	_, stderr, err := run(t, []string{"STOMPBOX_TOKEN=" + token}, "send", "--url", n.WebSocket, "/topic/b", "once")
	require.NoError(t, err, stderr)
	c.Message("once")
	c.Quiet()
	_, stderr, err = run(t, []string{"STOMPBOX_TOKEN=" + token}, "send", "--url", n.WebSocket, "/queue/b", "x")
	require.Error(t, err)
	require.Contains(t, stderr, "send permission")
}

// TestWrongCommandLinesAreRefused, and nothing is done: a header that is ignored, a command that
// there is not, or a count that is none would look like success.
func TestWrongCommandLinesAreRefused(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"--header destination:/queue/b: it is set by the argument DESTINATION":      {"send", "-H", "destination:/queue/b", "/queue/a", "x"},
		"--header content-length:9: it is set by the length of the body":            {"send", "-H", "content-length:9", "/queue/a", "x"},
		"--header content-type:a/b: it is set by --content-type":                    {"send", "-H", "content-type:a/b", "/queue/a", "x"},
		"--header receipt:r: it is set by the command, which waits for the receipt": {"send", "-H", "receipt:r", "/queue/a", "x"},
		"--header reply-to:/reply/a: it is set by the command":                      {"request", "-H", "reply-to:/reply/a", "/app/a", "x"},
		"--header destination:/topic/b: it is set by the argument DESTINATION":      {"listen", "-H", "destination:/topic/b", "/topic/a"},
		"--count -1: use 0 for all messages, or a number of them":                   {"listen", "-n", "-1", "/queue/a"},
		"--count -2: use 0 for all messages, or a number of them":                   {"history", "read", "-n", "-2", "/topic/a"},
		"--count -3: use 0 for all messages, or a number of them":                   {"queue", "move", "-n", "-3", "/queue/a"},
		`unknown command "wrong" for "stompbox queue"`:                              {"queue", "wrong"},
		`unknown command "rad" for "stompbox history"`:                              {"history", "rad", "/topic/a"},
		`unknown command "chek" for "stompbox config"`:                              {"config", "chek"},
	} {
		out, stderr, err := run(t, nil, args...)
		require.Error(t, err, "%v", args)
		require.Empty(t, out)
		require.Contains(t, stderr, says)
	}
	out, _, err := run(t, nil, "queue")
	require.NoError(t, err)
	require.Contains(t, out, "Available Commands:")
}
