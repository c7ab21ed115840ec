package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

const (
	slowBody     = 1 << 20
	slowMessages = 12
	// slowTimeout is a fraction of what the slow link takes for all messages, and many
	// times what it takes for a piece.
	slowTimeout = 4 * time.Second
)

// slowLink forwards connections to an address, and what comes back from it slowly, or
// not at all while it is stopped.
type slowLink struct {
	address string
	stopped atomic.Bool
}

func newSlowLink(t *testing.T, address string) *slowLink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	link := &slowLink{address: l.Addr().String()}
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		_ = l.Close()
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go link.forward(client, address, ended)
		}
	}()
	return link
}

func (l *slowLink) forward(client net.Conn, address string, ended chan struct{}) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	_ = server.(*net.TCPConn).SetReadBuffer(64 << 10)
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	piece := make([]byte, 32<<10)
	for {
		n, err := server.Read(piece)
		if n == len(piece) {
			select {
			case <-ended:
				return
			case <-time.After(40 * time.Millisecond):
			}
		}
		for l.stopped.Load() {
			select {
			case <-ended:
				return
			case <-time.After(40 * time.Millisecond):
			}
		}
		if _, writeErr := client.Write(piece[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// readBodies reads until the bodies of all messages have come.
func readBodies(r io.Reader) error {
	piece := make([]byte, 64<<10)
	for left := slowMessages * slowBody; left > 0; {
		n, err := r.Read(piece)
		left -= bytes.Count(piece[:n], []byte("z"))
		if err != nil && left > 0 {
			return err
		}
	}
	return nil
}

// messagesOf reads the messages of a WebSocket as one stream of bytes.
type messagesOf struct {
	ws *websocket.Conn
	r  io.Reader
}

func (m *messagesOf) Read(p []byte) (int, error) {
	for {
		if m.r == nil {
			_, r, err := m.ws.NextReader()
			if err != nil {
				return 0, err
			}
			m.r = r
		}
		n, err := m.r.Read(p)
		if err == io.EOF {
			m.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

const subscribeFrame = "SUBSCRIBE\nid:s\ndestination:/topic/slow\nreceipt:s\n\n\x00"

// slowReaders subscribe to /topic/slow over each transport, through a slow link.
var slowReaders = map[string]func(t *testing.T, n *test.Node) (*slowLink, io.Reader){
	"TCP": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		link := newSlowLink(t, n.TCP)
		c, err := net.Dial("tcp", link.address)
		require.NoError(t, err)
		return link, subscribedOver(t, c)
	},
	"TCP over TLS": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		config := tlsConfig(t)
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		tcp := gateway.NewTCP(n.Broker, gateway.TCPOptions{})
		served := make(chan error, 1)
		go func() { served <- tcp.Serve(ctx, l) }()
		t.Cleanup(func() {
			cancel()
			require.NoError(t, <-served)
			require.NoError(t, n.Broker.Shutdown(context.Background()))
			tcp.Wait()
		})
		link := newSlowLink(t, l.Addr().String())
		c, err := tls.Dial("tcp", link.address, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		return link, subscribedOver(t, c)
	},
	"WebSocket": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		link := newSlowLink(t, strings.TrimPrefix(n.WebSocket, "ws://"))
		return link, subscribedWebSocket(t, "ws://"+link.address)
	},
	"WebSocket over TLS": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		ws := gateway.NewWebSocket(n.Broker, gateway.WebSocketOptions{})
		server := httptest.NewUnstartedServer(ws)
		server.StartTLS()
		t.Cleanup(func() {
			require.NoError(t, n.Broker.Shutdown(context.Background()))
			server.Close()
			ws.Wait()
		})
		link := newSlowLink(t, server.Listener.Addr().String())
		return link, subscribedWebSocket(t, "wss://"+link.address)
	},
	"server-sent events": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		server := eventsOf(t, n, gateway.EventsOptions{})
		server.Start()
		return slowEvents(t, server)
	},
	"server-sent events over HTTP/2": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		server := eventsOf(t, n, gateway.EventsOptions{})
		server.Config.HTTP2 = gateway.HTTP2Config(n.Broker)
		server.Listener = gateway.NewListener(server.Listener, time.Minute)
		server.StartTLS()
		return slowEvents(t, server)
	},
	"SockJS streaming": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		server := startSockJS(t, n, gateway.SockJSOptions{ResponseLimit: 1 << 30}, func(s *httptest.Server) {
			s.Listener = gateway.NewListener(s.Listener, time.Minute)
			s.Start()
		})
		return slowSockJS(t, server)
	},
	"SockJS streaming over HTTP/2": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
		server := startSockJS(t, n, gateway.SockJSOptions{ResponseLimit: 1 << 30}, func(s *httptest.Server) {
			s.Listener = gateway.NewListener(s.Listener, time.Minute)
			s.EnableHTTP2, s.Config.HTTP2 = true, gateway.HTTP2Config(n.Broker)
			s.StartTLS()
		})
		return slowSockJS(t, server)
	},
}

func tlsConfig(*testing.T) *tls.Config {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates}
}

func subscribedOver(t *testing.T, c net.Conn) io.Reader {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetReadDeadline(time.Now().Add(test.Patience)))
	_, err := io.WriteString(c, connectFrame+subscribeFrame)
	require.NoError(t, err)
	var got bytes.Buffer
	for !strings.Contains(got.String(), "RECEIPT\nreceipt-id:s\n\n\x00") {
		_, err := io.CopyN(&got, c, 1)
		require.NoError(t, err)
	}
	return c
}

func subscribedWebSocket(t *testing.T, url string) io.Reader {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ws, _, err := dialer.Dial(url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ws.Close() })
	require.NoError(t, ws.SetReadDeadline(time.Now().Add(test.Patience)))
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(connectFrame+subscribeFrame)))
	for _, want := range []string{"CONNECTED", "RECEIPT"} {
		_, text, err := ws.ReadMessage()
		require.NoError(t, err)
		require.Contains(t, string(text), want)
	}
	return &messagesOf{ws: ws}
}

func slowEvents(t *testing.T, server *httptest.Server) (*slowLink, io.Reader) {
	t.Helper()
	link := newSlowLink(t, server.Listener.Addr().String())
	server.URL = strings.Replace(server.URL, server.Listener.Addr().String(), link.address, 1)
	answer := ask{user: "alice", client: server.Client()}.do(t, server, "/topic/slow") //nolint:bodyclose // the caller reads it to the end of the server
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return link, answer.Body
}

func slowSockJS(t *testing.T, server *sockJSServer) (*slowLink, io.Reader) {
	t.Helper()
	p := server.poller("/000/slow").connect().subscribe("/topic/slow")
	link := newSlowLink(t, server.http.Listener.Addr().String())
	server.url = strings.Replace(server.url, server.http.Listener.Addr().String(), link.address, 1)
	return link, server.stream("POST", p.path+"/xhr_streaming", prelude).reader
}

// TestASlowReaderGetsAll: one that takes bytes all the time is no slow consumer, though
// all that waits for it takes longer than a write may.
func TestASlowReaderGetsAll(t *testing.T) {
	t.Parallel()
	for name, subscribe := range slowReaders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := test.Start(t, test.Options{Broker: slowOptions(slowTimeout)})
			_, reader := subscribe(t, n)
			publishSlow(t, n)
			require.NoError(t, readBodies(reader))
			require.Zero(t, n.Broker.Stats().Errors[broker.CodeSlowConsumer], n.Log.String())
		})
	}
}

// TestAReaderThatTakesNothingIsEnded once a write has waited for it for its time.
func TestAReaderThatTakesNothingIsEnded(t *testing.T) {
	t.Parallel()
	for name, subscribe := range slowReaders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := test.Start(t, test.Options{Broker: slowOptions(300 * time.Millisecond)})
			link, _ := subscribe(t, n)
			link.stopped.Store(true)
			publishSlow(t, n)
			require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, 10*time.Millisecond)
			if !strings.Contains(name, "SockJS") && !strings.Contains(name, "HTTP/2") { // whose answers may end sooner
				require.Contains(t, n.Log.String(), "the client took nothing of what was written to it for 300ms")
			}
		})
	}
}

// slowOptions have room in an outbox for more than the kernel takes.
func slowOptions(timeout time.Duration) broker.Options {
	return broker.Options{Limits: broker.Limits{WriteTimeout: timeout}, Outbox: broker.OutboxOptions{MaxBytes: 2 * slowMessages * slowBody}}
}

// publishSlow sends all messages, of which the last one has come to the subscribers'
// outboxes when it returns.
func publishSlow(t *testing.T, n *test.Node) {
	t.Helper()
	sender := test.DialTCP(t, n).Connect()
	for range slowMessages {
		sender.Send(frames.SEND, "destination", "/topic/slow", strings.Repeat("z", slowBody))
	}
	sender.Send(frames.SEND, "destination", "/topic/other", "receipt", "all", "x")
	sender.Receipt("all")
	sender.Close()
}
