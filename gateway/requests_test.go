package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// requestServer serves requests whose headers count. One of /wait lasts until it is released.
type requestServer struct {
	*httptest.Server
	broker  *broker.Broker
	waiting atomic.Int32
	release chan struct{}
	finish  func()
}

// headersOfAnAddress is how much memory the headers of one address may take.
const headersOfAnAddress = 2 << 20

func newRequestServer(t *testing.T, encrypted bool, shared func(remote string) bool) *requestServer {
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{Incoming: broker.ByteLimits{User: headersOfAnAddress}}}})
	s := &requestServer{broker: n.Broker, release: make(chan struct{})}
	s.finish = sync.OnceFunc(func() { close(s.release) })
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			s.waiting.Add(1)
			<-s.release
		}
	}))
	s.Config.MaxHeaderBytes = 64 << 10
	s.Config.ReadHeaderTimeout = test.Patience
	gateway.GuardRequests(s.Config)
	s.Listener = &gateway.RequestListener{Listener: s.Listener, Broker: n.Broker, Encrypted: encrypted, Shared: shared}
	if s.EnableHTTP2 = encrypted; encrypted {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	t.Cleanup(s.finish)
	return s
}

func (s *requestServer) incoming() int64 { return s.broker.Stats().Memory["incoming"] }

// dial connects from an address.
func (s *requestServer) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	if s.TLS != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *requestServer) answers(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.NoError(t, answer.Body.Close())
}

// TestHeadersThatDoNotEndCountForTheirAddress: a server keeps them, and takes much more memory
// for headers that are short.
func TestHeadersThatDoNotEndCountForTheirAddress(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted=%t", encrypted), func(t *testing.T) {
			t.Parallel()
			s := newRequestServer(t, encrypted, nil)
			var lines strings.Builder
			for i := range 10_000 {
				fmt.Fprintf(&lines, "%x:\n", i)
			}
			var open []net.Conn
			for range 8 { // each takes about half of what there may be
				c := s.dial(t, "127.0.0.1")
				open = append(open, c)
				go func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"+lines.String()) }()
			}
			require.Eventually(t, func() bool { return s.incoming() > headersOfAnAddress/2 }, test.Patience, 10*time.Millisecond)
			s.answers(t, s.dial(t, "127.0.0.2"))
			require.Eventually(t, func() bool { return s.broker.Stats().Limited["user_incoming_bytes"] > 0 }, test.Patience, 10*time.Millisecond)
			require.LessOrEqual(t, s.incoming(), int64(headersOfAnAddress))
			closed := make(chan struct{}, len(open))
			for _, c := range open {
				go func() {
					_, _ = io.Copy(io.Discard, c)
					closed <- struct{}{}
				}()
			}
			<-closed // one that waits for too long
			for _, c := range open {
				_ = c.Close()
			}
			require.Eventually(t, func() bool { return s.incoming() == 0 }, test.Patience, 10*time.Millisecond)
			c := s.dial(t, "127.0.0.1")
			s.answers(t, c)
			s.answers(t, c)
		})
	}
}

// TestHeadersCountWhileTheirRequestIsHandled, over HTTP/2 those of each of many streams.
func TestHeadersCountWhileTheirRequestIsHandled(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted=%t", encrypted), func(t *testing.T) {
			t.Parallel()
			s := newRequestServer(t, encrypted, nil)
			get := func(path string) int {
				r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+path, nil)
				require.NoError(t, err)
				r.Header.Set("X-Large", strings.Repeat("x", 60<<10))
				answer, err := s.Client().Do(r)
				if err != nil {
					return 0
				}
				defer func() { _ = answer.Body.Close() }()
				if encrypted {
					require.Equal(t, 2, answer.ProtoMajor)
				}
				return answer.StatusCode
			}
			codes := make(chan int, 100)
			refused, begun := -1, 0
			for ; refused < 0; begun++ {
				require.Less(t, begun, 50)
				go func() { codes <- get("/wait") }()
				require.Eventually(t, func() bool {
					select {
					case refused = <-codes:
						return true
					default:
						return int(s.waiting.Load()) > begun
					}
				}, test.Patience, time.Millisecond)
			}
			begun--
			require.Greater(t, begun, 20)
			if encrypted {
				require.Equal(t, http.StatusServiceUnavailable, refused)
			} else {
				require.NotEqual(t, http.StatusOK, refused, "not all of its headers are read")
			}
			s.finish()
			for range begun {
				require.Equal(t, http.StatusOK, <-codes)
			}
			require.Equal(t, http.StatusOK, get("/"))
			require.Eventually(t, func() bool { return s.incoming() == 0 }, test.Patience, 10*time.Millisecond)
		})
	}
}

// TestHeadersFromProxiesCountForTheNodeAlone.
func TestHeadersFromProxiesCountForTheNodeAlone(t *testing.T) {
	t.Parallel()
	s := newRequestServer(t, false, func(string) bool { return true })
	for range 30 {
		_, err := io.WriteString(s.dial(t, "127.0.0.1"), "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 50<<10))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return s.incoming() > headersOfAnAddress }, test.Patience, 10*time.Millisecond)
	s.answers(t, s.dial(t, "127.0.0.1"))
}

// TestHandshakesThatDoNotEndCountForTheirAddress: TLS keeps a message of 64 KiB until it is complete.
func TestHandshakesThatDoNotEndCountForTheirAddress(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{Incoming: broker.ByteLimits{User: headersOfAnAddress}}}})
	keys := httptest.NewUnstartedServer(nil)
	keys.StartTLS()
	t.Cleanup(keys.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	counting := &countingListener{Listener: l}
	tcp := gateway.NewTCP(n.Broker, gateway.TCPOptions{})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- tcp.Serve(ctx, tls.NewListener(&gateway.RequestListener{Listener: counting, Broker: n.Broker, Encrypted: true, Sessions: true}, keys.TLS))
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
	incoming := func() int64 { return n.Broker.Stats().Memory["incoming"] }

	// The first record of a ClientHello of 0xff00 bytes.
	record := append([]byte{22, 3, 1, 16_000 >> 8, 16_000 & 0xff, 1, 0, 0xff, 0, 3, 3}, make([]byte, 16_000-6)...)
	var open []net.Conn
	for range 100 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		open = append(open, c)
		go func() { _, _ = c.Write(record) }()
	}
	require.Eventually(t, func() bool { return n.Broker.Stats().Limited["user_incoming_bytes"] > 0 }, test.Patience, 10*time.Millisecond)
	require.Greater(t, incoming(), int64(headersOfAnAddress/2))
	require.LessOrEqual(t, incoming(), int64(headersOfAnAddress))
	for _, c := range open {
		_ = c.Close()
	}
	// One that is accepted later counts what it had sent, too.
	require.Eventually(t, func() bool { return counting.closed.Load() == int64(len(open)) }, test.Patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return incoming() == 0 }, test.Patience, 10*time.Millisecond)

	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, "CONNECT\naccept-version:1.2\nx:"+strings.Repeat("x", 9000)+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return incoming() > 0 }, test.Patience, 10*time.Millisecond)
	require.LessOrEqual(t, incoming(), int64(64<<10), "what the session receives it counts itself")
}

// countingListener counts the connections that it accepted and that were closed since.
type countingListener struct {
	net.Listener
	closed atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: c, listener: l}, nil
}

type countedConn struct {
	net.Conn
	listener *countingListener
	once     sync.Once
}

func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.listener.closed.Add(1) })
	return err
}
