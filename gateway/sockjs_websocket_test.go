package gateway_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// sockJSSocket is a client over WebSocket.
type sockJSSocket struct {
	t  *testing.T
	ws *websocket.Conn
}

func (s *sockJSServer) dial(path string, headers ...string) *sockJSSocket {
	s.t.Helper()
	header := make(http.Header)
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	ws, answer, err := websocket.DefaultDialer.DialContext(s.t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+path, header)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusSwitchingProtocols, answer.StatusCode)
	s.t.Cleanup(func() { _ = ws.Close() })
	return &sockJSSocket{s.t, ws}
}

// text returns the next message.
func (s *sockJSSocket) text() string {
	s.t.Helper()
	require.NoError(s.t, s.ws.SetReadDeadline(time.Now().Add(test.Patience)))
	kind, text, err := s.ws.ReadMessage()
	require.NoError(s.t, err)
	require.Equal(s.t, websocket.TextMessage, kind)
	return string(text)
}

func (s *sockJSSocket) want(text string) {
	s.t.Helper()
	require.Equal(s.t, text, s.text())
}

// next returns the next message that is no heart-beat.
func (s *sockJSSocket) next() string {
	s.t.Helper()
	for {
		if text := s.text(); text != "h" && text != `a["\n"]` {
			return text
		}
	}
}

func (s *sockJSSocket) write(message string) {
	s.t.Helper()
	require.NoError(s.t, s.ws.WriteMessage(websocket.TextMessage, []byte(message)))
}

func (s *sockJSSocket) send(command string, pairs ...string) {
	s.t.Helper()
	s.write(sockJSMessage(s.t, command, pairs...))
}

func (s *sockJSSocket) connect() *sockJSSocket {
	s.t.Helper()
	s.send(frames.CONNECT, connectHeaders(s.t)...)
	require.Regexp(s.t, `^a\["CONNECTED\\n.*\\u0000"\]$`, s.next())
	return s
}

func (s *sockJSSocket) subscribe(destination string) {
	s.t.Helper()
	s.send(frames.SUBSCRIBE, "id", "s", "destination", destination, "receipt", "r")
	require.Contains(s.t, s.next(), "receipt-id:r")
}

// closed wants the next to be a Close frame, and the end.
func (s *sockJSSocket) closed(code int, reason string) {
	s.t.Helper()
	require.NoError(s.t, s.ws.SetReadDeadline(time.Now().Add(test.Patience)))
	_, text, err := s.ws.ReadMessage()
	var closed *websocket.CloseError
	require.True(s.t, errors.As(err, &closed), "%s %v", text, err)
	require.Equal(s.t, code, closed.Code)
	require.Contains(s.t, closed.Text, reason)
	require.NoError(s.t, s.ws.Close())
}

// TestSockJSWebSocketIsTheSession: two of one id have nothing to do with each other.
func TestSockJSWebSocketIsTheSession(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{})
	first, second := server.dial("/000/a/websocket"), server.dial("/000/a/websocket")
	for _, ws := range []*sockJSSocket{first, second} {
		ws.want("o")
		ws.connect()
	}
	require.NoError(t, first.ws.Close())
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 1 }, test.Patience, time.Millisecond)
	second.subscribe("/topic/a")
	again := server.dial("/111/a/websocket")
	again.want("o")
	again.connect()
	server.poller("/000/a")
	require.EqualValues(t, 3, n.Broker.Stats().Sessions)
}

func TestSockJSWebSocketTakesMessagesAsTheyCome(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	ws := server.dial("/000/a/websocket")
	ws.want("o")
	ws.write("") // an empty one, and ones with no message
	ws.write("[]")
	ws.connect()
	ws.write(`"SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:r\n\n\u0000"`) // a single one
	require.Contains(t, ws.next(), "receipt-id:r")
	ws.write(`["SEND\ndestination:/topic/a\n\n1","2\u0000SEND\ndestination:/topic/a\n\n3\u0000"]`)
	require.Contains(t, ws.next(), `\n\n12\u0000`)
	require.Contains(t, ws.next(), `\n\n3\u0000`)
}

// TestSockJSWebSocketEnds: with both close frames, or the reason of what was wrong.
func TestSockJSWebSocketEnds(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{MaxMessage: 100 << 10})
	open := func() *sockJSSocket {
		ws := server.dial("/000/a/websocket")
		ws.want("o")
		return ws
	}
	ws := open().connect()
	ws.send(frames.DISCONNECT, "receipt", "bye")
	require.Contains(t, ws.next(), "receipt-id:bye")
	ws.want(goAway)
	ws.closed(websocket.CloseNormalClosure, "")

	ws = open().connect()
	ws.send(frames.SEND, "destination", "nowhere")
	require.Contains(t, ws.next(), "ERROR")
	ws.want(goAway)
	ws.closed(websocket.CloseProtocolError, "nowhere")

	for message, reason := range map[string]string{`["a`: "Broken JSON encoding.", `{}`: "Payload expected.", `[1]`: "Payload expected.", "[\"\xff\"]": "UTF-8"} {
		ws = open()
		ws.write(message)
		ws.closed(websocket.CloseInvalidFramePayloadData, reason)
	}
	ws = open()
	ws.write(`["` + strings.Repeat("x", 40<<10) + `"]`)
	ws.closed(websocket.CloseMessageTooBig, "32768 bytes, the limit before CONNECT")
	ws = open().connect()
	ws.write(`["` + strings.Repeat(`\n`, 40<<10) + `"]`)
	ws.write(`["` + strings.Repeat("x", 110<<10) + `"]`)
	ws.closed(websocket.CloseMessageTooBig, "larger than 102400 bytes")
	require.EqualValues(t, 2, n.Broker.Stats().Limited["max_message"])
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`msg="session ended" .*user=ann .*transport=sockjs code=message-refused cause="[^"]*larger than 102400 bytes`).MatchString(n.Log.String())
	}, test.Patience, time.Millisecond, "%s", n.Log)

	ws = open().connect()
	farewell := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	require.NoError(t, ws.ws.WriteControl(websocket.CloseMessage, farewell, time.Now().Add(test.Patience)))
	ws.closed(websocket.CloseGoingAway, "")
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, 10*time.Millisecond)
}

func TestSockJSWebSocketRefusals(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxConnections: 1}}})
	server := sockJSOf(t, n, gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example"}})
	for _, path := range []string{"/0/0/websocket", "/websocket"} {
		answer := server.do("GET", path, "")
		require.Equal(t, http.StatusBadRequest, answer.status)
		require.Equal(t, `Can "Upgrade" only to "WebSocket".`, answer.body)
		answer = server.do("GET", path, "", "Upgrade", "WebSocket", "Connection", "close")
		require.Equal(t, http.StatusBadRequest, answer.status)
		require.Equal(t, `"Connection" must be "Upgrade".`, answer.body)
		answer = server.do("GET", path, "", "Upgrade", "WebSocket", "Connection", "Upgrade", "Origin", "https://evil.example")
		require.Equal(t, http.StatusForbidden, answer.status)
		require.Contains(t, answer.body, "http.allowed_origins")
	}
	first := server.dial("/0/0/websocket", "Origin", "https://app.example")
	first.want("o")
	second := server.dial("/0/0/websocket")
	second.want("o")
	require.Contains(t, second.text(), `a["ERROR\nmessage:the server has its limit of 1 connections\n`)
	second.want(goAway)
	second.closed(websocket.CloseTryAgainLater, "limit of 1 connections")
}

// TestSockJSRawWebSocket: no framing but STOMP's.
func TestSockJSRawWebSocket(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{})
	raw := test.DialWebSocket(t, "ws"+strings.TrimPrefix(server.url, "http")+"/websocket").Connect()
	raw.Subscribe("s", "/topic/a")
	raw.Send(frames.SEND, "destination", "/topic/a", "Hello world!\uffff")
	raw.Message("Hello world!\uffff")
	raw.Send(frames.DISCONNECT, "receipt", "bye")
	raw.Receipt("bye")
	raw.Closed()
	require.Equal(t, websocket.CloseNormalClosure, raw.CloseCode)
}
