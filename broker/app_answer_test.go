package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestAnswersCarryNoHeadersOfTheBroker: a handler, or the webhook that it calls, can neither pose as a
// user in an answer nor pass on a secret.
func TestAnswersCarryNoHeadersOfTheBroker(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	require.NoError(t, n.Broker.Handle("/app/hello", func(context.Context, broker.Request) (*broker.Reply, error) {
		headers := frames.Headers{{Name: "user", Value: "root"}, {Name: "session", Value: "s"}, {Name: "message-id", Value: "m"}, {Name: "Authorization", Value: "secret"}, {Name: "cookie", Value: "secret"}, {Name: "kind", Value: "greeting"}}
		return &broker.Reply{Headers: headers, Body: []byte("hello")}, nil
	}))
	c := test.Caller(t, n, "ann")
	c.Send(frames.SEND, "destination", "/app/hello", "reply-to", "/temp-queue/r", "correlation-id", "1")
	f := c.Message("hello")
	require.Equal(t, "greeting", f.Get("kind"))
	require.Equal(t, "1", f.Get("correlation-id"))
	require.NotEqual(t, "m", f.Get("message-id"))
	for _, name := range []string{"user", "session", "Authorization", "cookie"} {
		_, there := f.Headers.Lookup(name)
		require.False(t, there, name)
	}
}
