package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// TestAFrameThatIsStuckIsEnded over each transport, without heart-beats and also where the
// client answers pings. A connection between two frames may be silent.
func TestAFrameThatIsStuckIsEnded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{FrameTimeout: 200 * time.Millisecond, IdleTimeout: 400 * time.Millisecond}}})
	silent := test.DialTCP(t, n).Connect()
	begun := "SEND\ndestination:/topic/a\ncontent-length:4000000\n\n" + strings.Repeat("x", 100_000)
	for name, dial := range map[string]func(testing.TB, *test.Node) *test.Client{"WebSocket": test.Dial, "TCP": test.DialTCP} {
		for what, text := range map[string]string{"a body": begun, "a header": "SEND\ndestination:/topic/a\nx:", "a command": "SUB", "no NUL": "UNSUBSCRIBE\nid:1\n\n"} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				c := dial(t, n).Connect()
				c.Raw("\n\n" + text)
				f := c.Error("less than 1024 bytes of it came")
				require.Equal(t, string(broker.CodeFrameTimeout), f.Get(broker.HeaderCode))
			})
		}
	}
	t.Cleanup(func() { silent.Quiet() })
}

// TestASockJSMessageThatIsStuckIsEnded: it waits in the gateway, as a message of JSON.
func TestASockJSMessageThatIsStuckIsEnded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{FrameTimeout: 200 * time.Millisecond}}})
	s := sockJSOf(t, n, gateway.SockJSOptions{}).dial("/000/stuck001/websocket")
	s.want("o")
	s.connect()
	w, err := s.ws.NextWriter(websocket.TextMessage)
	require.NoError(t, err)
	_, err = w.Write([]byte(`["` + strings.Repeat("x", 10_000))) // and nothing more
	require.NoError(t, err)
	require.Contains(t, s.next(), string(broker.CodeFrameTimeout))
}
