package main

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestSockJSIsServedBesideTheRest: all of its paths, cleaned by no mux, and raw
// WebSockets.
func TestSockJSIsServedBesideTheRest(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"STOMPBOX_SOCKJS_TRANSPORTS=websocket,xhr-polling", "STOMPBOX_SOCKJS_COOKIE=true"}, "--dev")
	do := func(method, path string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.http+path, nil)
		require.NoError(t, err)
		answer, err := http.DefaultTransport.RoundTrip(r) // which follows no redirects
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer, string(text)
	}
	for request, status := range map[[2]string]int{
		{"GET", "/sockjs"}: http.StatusOK, {"GET", "/sockjs/"}: http.StatusOK, {"GET", "/sockjs/info"}: http.StatusOK,
		{"GET", "/sockjs//"}: http.StatusNotFound, {"GET", "/sockjs///"}: http.StatusNotFound, {"POST", "/sockjs//a/./xhr"}: http.StatusNotFound,
		{"POST", "/sockjs/000/a/xhr_streaming"}: http.StatusNotFound, {"DELETE", "/sockjs/000/a/xhr"}: http.StatusMethodNotAllowed,
		{"GET", "/sockjs/websocket"}: http.StatusBadRequest, {"POST", "/sockjs/000/a/xhr"}: http.StatusOK,
		{"GET", "/healthz"}: http.StatusOK,
	} {
		answer, text := do(request[0], request[1])
		require.Equal(t, status, answer.StatusCode, "%v: %s", request, text)
	}
	_, text := do("GET", "/sockjs")
	require.Equal(t, "Welcome to SockJS!\n", text)
	answer, _ := do("POST", "/sockjs/000/b/xhr")
	require.Equal(t, "JSESSIONID=dummy; Path=/; HttpOnly", answer.Header.Get("Set-Cookie"))
	_, text = do("GET", "/metrics")
	require.Contains(t, text, "stompbox_sockjs_pending_sessions 2\n")
	require.Contains(t, text, `stompbox_sockjs_refused_total{reason="size"} 0`)

	c := test.DialWebSocket(t, "ws://"+p.http+"/sockjs/websocket").Connect()
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "raw")
	c.Message("raw")
	p.stop(t)
}
