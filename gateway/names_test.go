package gateway_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// TestANameIsTheSameOverEachTransport, on each node, whatever characters it has: what one
// client calls a topic, all do. Nothing of it is decoded but by HTTP.
func TestANameIsTheSameOverEachTransport(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	events, sockJS := eventsOf(t, b, gateway.EventsOptions{}), sockJSOf(t, a, gateway.SockJSOptions{})
	events.Start()
	sender := test.DialTCP(t, b).Connect()
	for i, name := range []string{
		"a.b", "a/b", "a%2Fb", "a%2fb", "a%b", "%", "%zz", "a b", "a+b", "a#b", "a?b", "a&b=c;d", "a:b", `a\b`, `a"b'`, "a@b,c|d^`~",
		"[a]{b}<c>", "-x", ".", "..", "a..b", "a/../b", "a//b", "/", "a.", "a/", ".a", "\t", "a\nb", "a\rb", "\u00a0", "\u00fc", "u\u0308",
		"\u65e5\u672c", "\U0001f600", "\u2028", "A", "a-user12345678",
	} {
		dest := "/topic/" + name
		webSocket, tcp := test.Dial(t, a).Connect(), test.DialTCP(t, b).Connect()
		webSocket.Subscribe("s", dest)
		tcp.Subscribe("s", dest)
		page := ask{user: "ann", grants: auth.AllGrants()}.stream(t, events, dest)
		polling := sockJS.poller("/000/" + strconv.Itoa(i)).connect().subscribe(dest)
		body := "message " + strconv.Itoa(i)
		sender.Send(frames.SEND, "destination", dest, body)
		require.Equal(t, dest, webSocket.Message(body).Get("destination"))
		require.Equal(t, dest, tcp.Message(body).Get("destination"))
		page.data(body)
		require.Equal(t, dest, polledFrame(t, polling.next(), body).Get("destination"))
		require.NoError(t, page.answer.Body.Close())
		webSocket.Close()
		tcp.Close()
	}
}

// polledFrame is the one STOMP frame of a poll's answer, which has this body.
func polledFrame(t *testing.T, answer, body string) *frames.Frame {
	t.Helper()
	var messages []string
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(answer, "a")), &messages))
	require.Len(t, messages, 1)
	r := frames.NewReader(strings.NewReader(messages[0]), &frames.Limits{})
	r.SetVersion(frames.V12)
	f := new(frames.Frame)
	require.NoError(t, r.Read(f))
	require.Equal(t, body, string(f.Body))
	return f
}
