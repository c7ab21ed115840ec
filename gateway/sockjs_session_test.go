package gateway_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

func TestAPollerThatStopsIsBounded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Outbox: broker.OutboxOptions{MaxFrames: 100}}})
	server := sockJSOf(t, n, gateway.SockJSOptions{DisconnectDelay: test.Patience})
	server.poller("/000/stops").connect().send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/a")
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

// TestSockJSSessionEndsWithoutRequests: it is forgotten, and its id is free.
func TestSockJSSessionEndsWithoutRequests(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{DisconnectDelay: 20 * time.Millisecond})
	server.poller("/000/a")
	require.Eventually(t, func() bool {
		return n.Broker.Stats().Sessions == 0 && server.handler.Stats().Sessions == 0 && server.handler.Stats().Pending == 0
	}, test.Patience, time.Millisecond)
	require.Equal(t, http.StatusNotFound, server.do("POST", "/000/a/xhr_send", "[]").status)
	server.poller("/000/a")
}

// TestSockJSSessionIsOfOneAddress: who guesses an id, or reads it in a log, gets nothing
// of its session and cannot disturb it.
func TestSockJSSessionIsOfOneAddress(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{})
	post := func(path, body, address string) sockJSAnswer {
		return server.do("POST", path, body, testAddress, address)
	}
	require.Equal(t, "o\n", post("/0/a/xhr", "", "[2001:db8::1]:1").body)
	require.Equal(t, http.StatusNoContent, post("/0/a/xhr_send", sockJSMessage(t, frames.CONNECT, connectHeaders(t)...), "[2001:db8::2]:2").status, "the same network")
	for _, address := range []string{"[2001:db8:0:1::1]:1", "192.0.2.1:1"} {
		require.Equal(t, http.StatusNotFound, post("/0/a/xhr_send", "[]", address).status)
		require.Equal(t, "o\n", post("/0/a/xhr", "", address).body, "a session of its own")
		require.Equal(t, http.StatusNoContent, post("/0/a/xhr_send", "[]", address).status)
	}
	require.Contains(t, post("/0/a/xhr", "", "[2001:db8::1]:3").body, "CONNECTED")
	require.EqualValues(t, 3, n.Broker.Stats().Sessions)
	require.EqualValues(t, 4, server.handler.Stats().Refused["address"])
	require.Equal(t, http.StatusNoContent, post("/0/a/xhr_send", "[]", "[::ffff:192.0.2.1]:7").status)
	require.Equal(t, http.StatusNotFound, post("/0/a/xhr_send", "[]", "192.0.2.2:1").status)

	open := sockJSOf(t, n, gateway.SockJSOptions{AnyAddress: true})
	require.Equal(t, "o\n", open.do("POST", "/0/a/xhr", "", testAddress, "192.0.2.1:1").body)
	require.Equal(t, http.StatusNoContent, open.do("POST", "/0/a/xhr_send", "[]", testAddress, "192.0.2.2:1").status)
}

// TestSockJSSessionsThatDoNotConnectAreBounded, and make room when they end or connect.
func TestSockJSSessionsThatDoNotConnectAreBounded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{MaxPending: 3, DisconnectDelay: test.Patience})
	for i := range 3 {
		server.poller("/000/" + strconv.Itoa(i))
	}
	answer := server.do("POST", "/000/3/xhr", "")
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	require.Equal(t, "5", answer.header.Get("Retry-After"))
	require.Contains(t, answer.body, "sockjs.max_pending")
	require.EqualValues(t, 3, server.handler.Stats().Pending)
	require.EqualValues(t, 1, server.handler.Stats().Refused["pending"])
	require.EqualValues(t, 3, n.Broker.Stats().Sessions)
	(&poller{t, server, "/000/0"}).connect()
	require.EqualValues(t, 2, server.handler.Stats().Pending)
	server.poller("/000/3")
}

// TestOneAddressKeepsNoOthersFromSockJS: where there are too many sessions that have not
// connected, the oldest of the address that has most ends.
func TestOneAddressKeepsNoOthersFromSockJS(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{MaxPending: 4, DisconnectDelay: test.Patience})
	post := func(path, address string) sockJSAnswer { return server.do("POST", path, "", testAddress, address) }
	const eve, bob, carol = "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"
	for i := range 4 {
		require.Equal(t, "o\n", post("/0/e"+strconv.Itoa(i)+"/xhr", eve).body)
	}
	require.Equal(t, http.StatusServiceUnavailable, post("/0/e4/xhr", eve).status, "she has most herself")
	require.Equal(t, "o\n", post("/0/b0/xhr", bob).body)
	require.Equal(t, goAway+"\n", post("/0/e0/xhr", eve).body)
	require.Equal(t, "o\n", post("/0/c0/xhr", carol).body)
	require.Equal(t, goAway+"\n", post("/0/e1/xhr", eve).body)
	require.EqualValues(t, 4, server.handler.Stats().Pending)
	require.Equal(t, http.StatusServiceUnavailable, post("/0/b1/xhr", bob).status, "he would have as many as she has")
	require.Equal(t, http.StatusServiceUnavailable, post("/0/e5/xhr", eve).status)
	require.EqualValues(t, 5, server.handler.Stats().Refused["pending"])
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 4 }, test.Patience, time.Millisecond)

	require.Equal(t, http.StatusNoContent, server.do("POST", "/0/b0/xhr_send", sockJSMessage(t, frames.CONNECT, connectHeaders(t)...), testAddress, bob).status)
	require.Contains(t, post("/0/b0/xhr", bob).body, "CONNECTED")
	require.EqualValues(t, 3, server.handler.Stats().Pending)
	require.Equal(t, "o\n", post("/0/e6/xhr", eve).body)
}

// TestSockJSSessionsEndWithTheServer: who waits gets the last frames, who comes is sent
// elsewhere.
func TestSockJSSessionsEndWithTheServer(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{DisconnectDelay: test.Patience})
	p := server.poller("/000/a").connect()
	stream := server.stream("POST", "/000/stream/xhr_streaming", prelude)
	stream.want("o\n")
	stopped := make(chan error, 1)
	go func() { stopped <- n.Broker.Shutdown(t.Context()) }()
	require.Eventually(t, n.Broker.Draining, test.Patience, time.Millisecond)
	require.NoError(t, <-stopped)
	require.Equal(t, goAway+"\n", stream.rest())
	require.Equal(t, goAway+"\n", p.poll())
	for request, status := range map[string]int{"POST /0/b/xhr": http.StatusServiceUnavailable, "GET /info": http.StatusServiceUnavailable, "GET /": http.StatusOK} {
		method, path, _ := strings.Cut(request, " ")
		require.Equal(t, status, server.do(method, path, "").status, request)
	}
}
