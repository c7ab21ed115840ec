package gateway_test

import (
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

func sockJSOf(t *testing.T, n *test.Node, o gateway.SockJSOptions) *httptest.Server {
	handler := gateway.NewSockJS(n.Broker, o)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		handler.Wait()
	})
	return server
}

// poller is a client of SockJS over xhr-polling that asks only when it is told to.
type poller struct {
	t    *testing.T
	base string
}

func (p *poller) post(path, body string) (int, string) {
	p.t.Helper()
	answer, err := http.Post(p.base+path, "text/plain", strings.NewReader(body))
	require.NoError(p.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(p.t, err)
	return answer.StatusCode, string(text)
}

func (p *poller) send(command string, pairs ...string) {
	p.t.Helper()
	body, err := json.Marshal([]string{string(frames.Append(nil, frames.New(command, pairs...), frames.V12))})
	require.NoError(p.t, err)
	status, text := p.post("/xhr_send", string(body))
	require.Equal(p.t, http.StatusNoContent, status, text)
}

func TestAPollerThatStopsIsBounded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Outbox: broker.OutboxOptions{MaxFrames: 100}}})
	server := sockJSOf(t, n, gateway.SockJSOptions{DisconnectDelay: test.Patience})
	p := &poller{t, server.URL + "/sockjs/000/stops"}
	_, text := p.post("/xhr", "")
	require.Equal(t, "o\n", text)
	p.send(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest")
	_, text = p.post("/xhr", "")
	require.Contains(t, text, "CONNECTED")
	p.send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/a")
	require.Eventually(t, func() bool { return n.Broker.Stats().Subscriptions == 1 }, test.Patience, 10*time.Millisecond)
	other := test.Dial(t, n).Connect()
	other.Subscribe("s", "/topic/a")
	sender := test.Dial(t, n).Connect()
	for range 1000 {
		sender.Send(frames.SEND, "destination", "/topic/a", "x")
		other.Message("x")
	}
	require.EqualValues(t, 1, n.Broker.Stats().Errors[broker.CodeSlowConsumer], "what it does not fetch is kept within the outbox's bounds")
}

func TestSockJSRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example"}, MaxMessage: 64 << 10, DisconnectDelay: time.Second})
	for origin, status := range map[string]int{"https://evil.example": http.StatusForbidden, "https://app.example": http.StatusOK} {
		r, err := http.NewRequest(http.MethodGet, server.URL+"/sockjs/info", nil)
		require.NoError(t, err)
		r.Header.Set("Origin", origin)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, status, answer.StatusCode, origin)
	}
	p := &poller{t, server.URL + "/sockjs/000/large"}
	p.post("/xhr", "")
	status, _ := p.post("/xhr_send", `["`+strings.Repeat("x", 128<<10)+`"]`)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	status, _ = p.post("/jsonp", "")
	require.Equal(t, http.StatusNotFound, status)

	address := "ws" + strings.TrimPrefix(server.URL, "http") + "/sockjs/000/ws/websocket"
	ws, _, err := websocket.DefaultDialer.Dial(address, nil)
	require.NoError(t, err)
	defer ws.Close()
	_, text, err := ws.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "o", string(text))
	connect, err := json.Marshal([]string{string(frames.Append(nil, frames.New(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest"), frames.V12))})
	require.NoError(t, err)
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, connect))
	_, text, err = ws.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(text), "CONNECTED")
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(`["`+strings.Repeat("x", 128<<10)+`"]`)))
	for err == nil {
		_, text, err = ws.ReadMessage()
	}
	require.NotContains(t, string(text), "MESSAGE")
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, 10*time.Millisecond)
}
