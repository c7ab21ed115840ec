package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// TestASockJSClientThatPollsIsAlive, without the heart-beats that were agreed, as a browser is
// that answers the ping of a WebSocket: it is asked by what completes its poll. One that
// does not come back is given up, and so is one that streams, which cannot be asked.
func TestASockJSClientThatPollsIsAlive(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) (*test.Node, *sockJSServer) {
		n := test.Start(t, test.Options{Broker: broker.Options{HeartBeat: broker.HeartBeat{Send: -1, Receive: 8 * time.Second, Grace: 1}}})
		return n, sockJSOf(t, n, gateway.SockJSOptions{HeartBeat: time.Hour, DisconnectDelay: time.Hour})
	}
	connect := func(t *testing.T, server *sockJSServer, path string) {
		server.do(http.MethodPost, path+"/xhr_send", sockJSMessage(t, frames.CONNECT, append(connectHeaders(t), "heart-beat", "1000,0")...))
	}
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		n, server := start(t)
		p := server.poller("/000/polls")
		connect(t, server, p.path)
		require.Contains(t, p.poll(), `heart-beat:0,8000`)
		for range 2 { // which is longer than what was agreed
			require.Equal(t, "a[\"\\n\"]\n", p.poll())
		}
		// Not coming back is no answer. What ends the session is there at the next poll.
		require.Eventually(t, func() bool { return strings.Contains(n.Log.String(), "code=heart-beat-missing") }, test.Patience, 20*time.Millisecond)
		require.Contains(t, p.next(), "heart-beat-missing")
	})
	t.Run("streaming", func(t *testing.T) {
		t.Parallel()
		_, server := start(t)
		stream := server.stream(http.MethodPost, "/000/streams/xhr_streaming", strings.Repeat("h", 2048)+"\no\n")
		connect(t, server, "/000/streams")
		rest := stream.rest()
		require.Contains(t, rest, "CONNECTED")
		require.Contains(t, rest, "heart-beat-missing")
		require.NotContains(t, rest, `a["\n"]`)
	})
}
