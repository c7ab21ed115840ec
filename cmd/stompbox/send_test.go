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
