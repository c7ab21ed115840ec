package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// unfinishedRequest has sent the beginning of its body.
type unfinishedRequest struct {
	t       *testing.T
	request string
	conn    net.Conn
}

func (s *sockJSServer) unfinished(request, body string, headers ...string) *unfinishedRequest {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	method, path, _ := strings.Cut(request, " ")
	_, err = fmt.Fprintf(conn, "%s /sockjs%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, strings.Join(append(headers, ""), "\r\n"), len(body)+1, body)
	require.NoError(s.t, err)
	return &unfinishedRequest{s.t, request, conn}
}

// answer wants one, and the end of the connection.
func (u *unfinishedRequest) answer() (status int) {
	u.t.Helper()
	require.NoError(u.t, u.conn.SetReadDeadline(time.Now().Add(test.Patience)))
	reader := bufio.NewReader(u.conn)
	answer, err := http.ReadResponse(reader, nil)
	require.NoError(u.t, err, u.request)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(u.t, err)
	_, err = reader.ReadByte()
	require.Equal(u.t, io.EOF, err, "%s: the connection is closed", u.request)
	return answer.StatusCode
}

// unfinishedAnswers sends requests at once, and wants their answers.
func (s *sockJSServer) unfinishedAnswers(body string, want map[string]int) {
	s.t.Helper()
	requests := make([]*unfinishedRequest, 0, len(want))
	for request := range want {
		requests = append(requests, s.unfinished(request, body))
	}
	for _, u := range requests {
		require.Equal(s.t, want[u.request], u.answer(), u.request)
	}
}

// TestSockJSLooksForTheSessionFirst: a body that is for nothing is not waited for.
func TestSockJSLooksForTheSessionFirst(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{BodyTimeout: 24 * time.Hour})
	server.unfinishedAnswers(strings.Repeat("x", 4096), map[string]int{
		"POST /000/nosuch/xhr_send":   http.StatusNotFound,
		"POST /000/nosuch/jsonp_send": http.StatusNotFound,
		"POST /odd":                   http.StatusNotFound,
		"PUT /000/nosuch/xhr_send":    http.StatusMethodNotAllowed,
	})
	require.Zero(t, server.handler.Stats().BodyBytes)
}

// TestSockJSWaitsForBodiesSoLong: on each path that reads one.
func TestSockJSWaitsForBodiesSoLong(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{BodyTimeout: 50 * time.Millisecond, DisconnectDelay: test.Patience})
	p := server.poller("/000/a").connect()
	server.poller("/000/b")
	server.unfinishedAnswers(`["`, map[string]int{
		"POST /000/a/xhr_send": http.StatusRequestTimeout, "POST /000/b/jsonp_send": http.StatusRequestTimeout,
		"POST /000/new/xhr": http.StatusRequestTimeout, "POST /000/new/xhr_streaming": http.StatusRequestTimeout,
		"GET /000/new/eventsource": http.StatusRequestTimeout, "GET /000/new/jsonp?c=x": http.StatusRequestTimeout,
	})
	require.EqualValues(t, 6, server.handler.Stats().Refused["timeout"])
	server.unfinishedAnswers("x", map[string]int{"GET /": http.StatusOK, "GET /info": http.StatusOK, "OPTIONS /info": http.StatusNoContent})
	require.EqualValues(t, 2, server.handler.Stats().Sessions, "none was opened")
	// The session goes on, and so does a connection whose body came in time.
	p.subscribe("/topic/a")
	p.send(frames.SEND, "destination", "/topic/a", "x")
	require.Contains(t, p.next(), "MESSAGE")
}

// TestSockJSBodiesAreBounded: by what the session may send.
func TestSockJSBodiesAreBounded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{MaxMessage: 100 << 10, DisconnectDelay: test.Patience})
	p := server.poller("/000/a")
	send := func(size int) sockJSAnswer {
		return server.do("POST", p.path+"/xhr_send", `["`+strings.Repeat(`\n`, size/2)+`"]`)
	}
	answer := send(40 << 10)
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.status)
	require.Equal(t, "the message is larger than 32768 bytes, the limit before CONNECT", answer.body)
	require.Equal(t, http.StatusNoContent, send(30<<10).status)
	p.connect()
	require.Equal(t, http.StatusNoContent, send(90<<10).status)
	answer = send(110 << 10)
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.status)
	require.Equal(t, "the message is larger than 102400 bytes", answer.body)
	// Without a length, what comes is counted.
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.url+p.path+"/xhr_send", io.MultiReader(strings.NewReader(`["`+strings.Repeat("x", 110<<10)), strings.NewReader(`"]`)))
	require.NoError(t, err)
	response, err := server.http.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	require.EqualValues(t, 3, server.handler.Stats().Refused["size"])
	answer = server.do("POST", "/000/a/xhr", strings.Repeat("x", 10<<10))
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.status, "a poll has no use for it")
}

// TestSockJSLargeBodiesShareABound: small ones are accepted meanwhile.
func TestSockJSLargeBodiesShareABound(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	const size = 1 << 20
	server := sockJSOf(t, n, gateway.SockJSOptions{MaxMessage: size, MaxBodies: size, DisconnectDelay: test.Patience, BodyTimeout: test.Patience})
	a, b := server.poller("/000/a").connect(), server.poller("/000/b").connect()
	held := server.unfinished("POST "+a.path+"/xhr_send", `["`+strings.Repeat(`\n`, 400<<10))
	require.Eventually(t, func() bool { return server.handler.Stats().BodyBytes > 800<<10 }, test.Patience, time.Millisecond)
	answer := server.do("POST", b.path+"/xhr_send", `["`+strings.Repeat(`\n`, 400<<10)+`"]`)
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	require.Equal(t, "1", answer.header.Get("Retry-After"))
	require.Contains(t, answer.body, "sockjs.max_bodies")
	require.EqualValues(t, 1, server.handler.Stats().Refused["bodies"])
	ws := server.dial("/000/c/websocket")
	ws.want("o")
	ws.connect().write(`["` + strings.Repeat(`\n`, 400<<10) + `"]`)
	ws.closed(1013, "sockjs.max_bodies")
	b.subscribe("/topic/b") // which is small
	require.NoError(t, held.conn.Close())
	require.Eventually(t, func() bool { return server.handler.Stats().BodyBytes == 0 }, test.Patience, time.Millisecond)
	require.Equal(t, http.StatusNoContent, server.do("POST", b.path+"/xhr_send", `["`+strings.Repeat(`\n`, 400<<10)+`"]`).status)
}

// TestOneAddressTakesNotAllOfSockJSBodies: one message always has room, and further ones as
// much as is left for others.
func TestOneAddressTakesNotAllOfSockJSBodies(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	const size = 1 << 20
	server := sockJSOf(t, n, gateway.SockJSOptions{MaxMessage: size, MaxBodies: 2 * size, DisconnectDelay: test.Patience, BodyTimeout: test.Patience})
	const eve, bob = "192.0.2.1:1", "192.0.2.2:1"
	connect := func(id, address string) (path string) {
		path = "/000/" + id
		require.Equal(t, "o\n", server.do("POST", path+"/xhr", "", testAddress, address).body)
		require.Equal(t, http.StatusNoContent, server.do("POST", path+"/xhr_send", sockJSMessage(t, frames.CONNECT, connectHeaders(t)...), testAddress, address).status)
		require.Contains(t, server.do("POST", path+"/xhr", "", testAddress, address).body, "CONNECTED")
		return path + "/xhr_send"
	}
	half := `["` + strings.Repeat(`\n`, 400<<10)
	held := server.unfinished("POST "+connect("e0", eve), half, testAddress+": "+eve)
	require.Eventually(t, func() bool { return server.handler.Stats().BodyBytes > 800<<10 }, test.Patience, time.Millisecond)
	second := connect("e1", eve)
	answer := server.do("POST", second, half+`"]`, testAddress, eve)
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	require.Equal(t, "1", answer.header.Get("Retry-After"))
	require.Contains(t, answer.body, "sockjs.max_bodies")
	require.Equal(t, http.StatusNoContent, server.do("POST", connect("b0", bob), half+`"]`, testAddress, bob).status)
	require.Equal(t, http.StatusNoContent, server.do("POST", second, `["`+strings.Repeat(`\n`, 50<<10)+`"]`, testAddress, eve).status, "some more")
	require.NoError(t, held.conn.Close())
	require.Eventually(t, func() bool { return server.handler.Stats().BodyBytes == 0 }, test.Patience, time.Millisecond)
	require.Equal(t, http.StatusNoContent, server.do("POST", second, half+`"]`, testAddress, eve).status)
}

// TestSockJSBodies: their errors are the protocol's, and harm nothing.
func TestSockJSBodies(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	p := server.poller("/000/a").connect().subscribe("/topic/a")
	for body, says := range map[string]string{
		`["x`: "Broken JSON encoding.", `nonsense`: "Broken JSON encoding.", `["a"] ["b"]`: "Broken JSON encoding.",
		"": "Payload expected.", " \n": "Payload expected.", "null": "Payload expected.", "{}": "Payload expected.", `"x"`: "Payload expected.", `["x",1]`: "Payload expected.",
	} {
		answer := server.do("POST", p.path+"/xhr_send", body)
		require.Equal(t, http.StatusInternalServerError, answer.status, body)
		require.Equal(t, says, answer.body, body)
	}
	for _, kind := range []string{"text/plain", "T", "application/json", "application/xml", "", "application/json; charset=utf-8", "text/xml; charset=utf-8", "text/xml"} {
		answer := server.do("POST", p.path+"/xhr_send", sockJSMessage(t, frames.SEND, "destination", "/topic/a", "x"), "Content-Type", kind)
		require.Equal(t, http.StatusNoContent, answer.status, kind)
		require.Empty(t, answer.body, kind)
		require.Contains(t, p.next(), `\n\nx\u0000`)
	}
	require.Equal(t, http.StatusNotFound, server.do("POST", "/000/bad_session/xhr_send", `["a"]`).status)
}
