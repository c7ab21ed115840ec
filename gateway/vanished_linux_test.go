package gateway_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// keepingListener shows the connections that it has accepted.
type keepingListener struct {
	net.Listener
	accepted chan net.Conn
}

func keepAccepted(l net.Listener) *keepingListener {
	return &keepingListener{l, make(chan net.Conn, 10)}
}

func (l *keepingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- c
	}
	return c, err
}

// userTimeout is after how long the system gives up the peer of a connection that does
// not answer any more.
func userTimeout(t *testing.T, c net.Conn) (timeout time.Duration) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		require.NoError(t, err)
		timeout = time.Duration(ms) * time.Millisecond
	}))
	return timeout
}

// TestPeersThatVanishAreGivenUp by the system, also where a session expects nothing of
// its client: after two heart-beats of its transport's, or the idle timeout.
func TestPeersThatVanishAreGivenUp(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{IdleTimeout: time.Minute, WriteTimeout: 10 * time.Second}}})

	events := eventsOf(t, n, gateway.EventsOptions{HeartBeat: 8 * time.Second})
	kept := keepAccepted(events.Listener)
	events.Listener = kept
	events.Start()
	ask{user: "alice"}.stream(t, events, "/topic/a")
	require.Equal(t, 16*time.Second, userTimeout(t, <-kept.accepted))

	hasty := eventsOf(t, n, gateway.EventsOptions{HeartBeat: time.Second})
	kept = keepAccepted(hasty.Listener)
	hasty.Listener = kept
	hasty.Start()
	ask{user: "alice"}.stream(t, hasty, "/topic/a")
	require.Equal(t, 10*time.Second, userTimeout(t, <-kept.accepted), "what a write may take")

	ws := gateway.NewWebSocket(n.Broker, gateway.WebSocketOptions{})
	server := httptest.NewUnstartedServer(ws)
	kept = keepAccepted(server.Listener)
	server.Listener = kept
	server.Start()
	t.Cleanup(func() {
		require.NoError(t, n.Broker.Shutdown(context.Background()))
		server.Close()
		ws.Wait()
	})
	test.DialWebSocket(t, "ws"+strings.TrimPrefix(server.URL, "http")).Connect()
	require.Equal(t, time.Minute, userTimeout(t, <-kept.accepted))

	sockJS := startSockJS(t, n, gateway.SockJSOptions{HeartBeat: 25 * time.Second}, func(s *httptest.Server) {
		kept = keepAccepted(s.Listener)
		s.Listener = kept
		s.Start()
	})
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(sockJS.url, "http")+"/000/a/websocket", nil)
	require.NoError(t, err)
	defer c.Close()
	_, _, err = c.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, 50*time.Second, userTimeout(t, <-kept.accepted))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	kept = keepAccepted(l)
	tcp := gateway.NewTCP(n.Broker, gateway.TCPOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tcp.Serve(ctx, kept) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
		require.NoError(t, n.Broker.Shutdown(context.Background()))
		tcp.Wait()
	})
	test.DialAddress(t, l.Addr().String()).Connect()
	require.Equal(t, time.Minute, userTimeout(t, <-kept.accepted))
}

// TestListenersGiveTheTimeToTheirConnections, which answer requests of HTTP.
func TestListenersGiveTheTimeToTheirConnections(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	c, err := gateway.NewListener(l, 45*time.Second).Accept()
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, 45*time.Second, userTimeout(t, c))
}
