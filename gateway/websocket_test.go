package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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

const connectFrame = "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\x00"

func TestSubprotocolIsTheBestOffered(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for want, offered := range map[string][]string{
		"v12.stomp": {"v10.stomp", "v12.stomp", "v11.stomp"}, "v11.stomp": {"v11.stomp", "v10.stomp"}, "": nil,
	} {
		ws, _, err := (&websocket.Dialer{Subprotocols: offered}).Dial(n.WebSocket, nil)
		require.NoError(t, err)
		require.Equal(t, want, ws.Subprotocol())
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(connectFrame)))
		_, text, err := ws.ReadMessage()
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "CONNECTED\n"))
		require.NoError(t, ws.Close())
	}
}

func TestOriginsAreChecked(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{AllowedOrigins: []string{"https://app.example", gateway.LoopbackOrigins}}})
	host := strings.TrimPrefix(n.WebSocket, "ws://")
	for origin, allowed := range map[string]bool{
		"": true, "https://app.example": true, "http://" + host: true, "http://localhost:3000": true, "http://[::1]:3000": true,
		"https://evil.example": false, "https://app.example.evil.example": false, "null": false, "http://app.example": false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, answer, err := websocket.DefaultDialer.Dial(n.WebSocket, header)
		if allowed {
			require.NoError(t, err, origin)
			require.NoError(t, ws.Close())
			continue
		}
		require.Error(t, err, origin)
		require.Equal(t, http.StatusForbidden, answer.StatusCode)
		require.Equal(t, "origin-not-allowed", problemOf(t, answer.Body).Code)
	}
	answer, err := http.Get("http://" + host)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	require.Equal(t, "bad-request", problemOf(t, answer.Body).Code)
}

func TestFramesMaySpanAndShareWebSocketMessages(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	c.Raw("SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:1\n\n\x00\n\nSEND\ndestination:/top")
	c.Receipt("1")
	for _, part := range []string{"ic/a\nconte", "nt-length:5\n", "\nab\x00", "cd", "\x00\nSEND\ndestination:/topic/a\n\nnext\x00"} {
		c.Raw(part)
	}
	c.Message("ab\x00cd")
	require.Equal(t, websocket.BinaryMessage, c.LastType(), "a NUL in the body: binary")
	c.Message("next")
	require.Equal(t, websocket.TextMessage, c.LastType())
	c.Send(frames.SEND, "destination", "/topic/a", "\xff\xfe")
	c.Message("\xff\xfe")
	require.Equal(t, websocket.BinaryMessage, c.LastType(), "no UTF-8: binary")
}

func TestPingsAreAnsweredAndTooLargeMessagesRefused(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{MaxMessage: 1000}})
	ws, _, err := websocket.DefaultDialer.Dial(n.WebSocket, nil)
	require.NoError(t, err)
	defer ws.Close()
	pongs := make(chan string, 1)
	ws.SetPongHandler(func(data string) error { pongs <- data; return nil })
	require.NoError(t, ws.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second)))
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(connectFrame)))
	_, _, err = ws.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "are you there", <-pongs)
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("\n"), 1001)))
	_, _, err = ws.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseMessageTooBig), "%v", err)
}

func TestCompressionIsSharedBetweenSubscribers(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{Compression: true}})
	body := strings.Repeat("compress me ", 500)
	var all []*websocket.Conn
	for range 3 {
		ws, answer, err := (&websocket.Dialer{EnableCompression: true}).Dial(n.WebSocket, nil)
		require.NoError(t, err)
		defer ws.Close()
		require.Contains(t, answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(connectFrame+"SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:1\n\n\x00")))
		for _, want := range []string{"CONNECTED", "RECEIPT"} {
			_, text, err := ws.ReadMessage()
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(text), want))
		}
		all = append(all, ws)
	}
	plain := test.Dial(t, n).Connect()
	plain.Subscribe("s", "/topic/a")
	plain.Send(frames.SEND, "destination", "/topic/a", body)
	plain.Message(body)
	for _, ws := range all {
		_, text, err := ws.ReadMessage()
		require.NoError(t, err)
		require.Contains(t, string(text), body)
	}
}

func TestIdleWebSocketsArePinged(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{IdleTimeout: 3 * time.Second}}})
	alive, deaf := test.Dial(t, n).Connect(), test.Dial(t, n)
	// A peer that does not read does not answer pings.
	deaf.Raw(connectFrame)
	received := make(chan error, 1)
	go func() {
		_, err := alive.Next() // reading answers the pings
		received <- err
	}()
	require.Eventually(t, func() bool { return strings.Contains(n.Log.String(), "code=connection-idle") }, time.Minute, 20*time.Millisecond)
	alive.Raw("BEGIN\ntransaction:t\nreceipt:r\n\n\x00")
	require.NoError(t, <-received)
	require.EqualValues(t, 1, n.Broker.Stats().Errors[broker.CodeIdle])
}

func TestShutdownTellsClientsToComeBack(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	ws, tcp := test.Dial(t, n).Connect(), test.DialTCP(t, n).Connect()
	ws.Subscribe("s", "/topic/a")
	ws.Send(frames.SEND, "destination", "/topic/a", "receipt", "r", "queued")
	done := make(chan error, 1)
	ws.Message("queued")
	ws.Receipt("r")
	go func() { done <- n.Broker.Shutdown(t.Context()) }()
	ws.Closed()
	require.Equal(t, 1012, ws.CloseCode)
	require.True(t, strings.HasPrefix(ws.CloseReason, "shutting-down: "), ws.CloseReason)
	tcp.Closed()
	ws.Close()
	tcp.Close()
	require.NoError(t, <-done)
	recorder := httptest.NewRecorder()
	gateway.NewWebSocket(n.Broker, gateway.WebSocketOptions{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/ws", nil))
	require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
	require.Equal(t, "1", recorder.Header().Get("Retry-After"))
	require.Equal(t, "shutting-down", problemOf(t, recorder.Body).Code)
}

// problemDocument is a refused request as clients read it.
type problemDocument struct{ Type, Code, Detail string }

func problemOf(t *testing.T, body io.Reader) problemDocument {
	t.Helper()
	var p problemDocument
	require.NoError(t, json.NewDecoder(body).Decode(&p))
	require.True(t, strings.HasSuffix(p.Type, "/docs/errors.md#"+p.Code), p.Type)
	return p
}
