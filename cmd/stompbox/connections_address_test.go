package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// remoteListener has each connection come from the address that remote returns.
type remoteListener struct {
	net.Listener
	remote func() net.Addr
}

func (l remoteListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &remoteConn{c, sync.OnceValue(l.remote)}, nil
}

type remoteConn struct {
	net.Conn
	remote func() net.Addr
}

func (c *remoteConn) RemoteAddr() net.Addr { return c.remote() }

// gatedServer serves behind an address gate. A request of /events lasts until the server is
// released.
type gatedServer struct {
	t       *testing.T
	gate    *addressGate
	address string

	mu      sync.Mutex // guards the following
	remote  net.Addr
	reached map[string]int
	release chan struct{}
}

func newGatedServer(t *testing.T, limit int, proxied bool, remote func() net.Addr) *gatedServer {
	s := &gatedServer{t: t, reached: make(map[string]int), release: make(chan struct{})}
	s.gate = newAddressGate(func() int { return limit }, func(remote string) bool { return remote == "10.9.9.9:1" }, func(string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reached["address_connections"]++
	})
	hs := &http.Server{ReadHeaderTimeout: test.Patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			_ = http.NewResponseController(w).Flush()
			<-s.release
		}
	})}
	s.gate.guard(proxied)(hs)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = l.Addr().String()
	if remote == nil {
		remote = func() net.Addr {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.remote
		}
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(remoteListener{l, remote}) }()
	t.Cleanup(func() {
		require.NoError(t, hs.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return s
}

// gatedClient is one connection to it.
type gatedClient struct {
	t *testing.T
	net.Conn
	from *bufio.Reader
}

func (s *gatedServer) dial(from string) *gatedClient {
	s.t.Helper()
	address, err := net.ResolveTCPAddr("tcp", from+":1")
	require.NoError(s.t, err)
	s.mu.Lock()
	s.remote = address
	s.mu.Unlock()
	c, err := net.Dial("tcp", s.address)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	require.NoError(s.t, c.SetDeadline(time.Now().Add(test.Patience)))
	return &gatedClient{s.t, c, bufio.NewReader(c)}
}

// beginning is what of an answer comes first, and a body to read.
type beginning struct {
	StatusCode int
	Header     http.Header
	Body       io.Reader
}

// get asks for a path, and returns the answer as soon as it begins.
func (c *gatedClient) get(path string) beginning {
	c.t.Helper()
	_, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(c.t, err)
	answer, err := http.ReadResponse(c.from, nil)
	require.NoError(c.t, err)
	c.t.Cleanup(func() {
		_ = c.Close() // so that nothing is read for the sake of the next request
		_ = answer.Body.Close()
	})
	return beginning{answer.StatusCode, answer.Header, answer.Body}
}

func (s *gatedServer) awaitOpen(address string, n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.gate.mu.Lock()
		defer s.gate.mu.Unlock()
		return s.gate.open[address] == n
	}, test.Patience, time.Millisecond)
}

// TestAnAddressHasSoManyConnectionsOverHTTP: those that wait for their next request count, and
// those of sessions do not.
func TestAnAddressHasSoManyConnectionsOverHTTP(t *testing.T) {
	t.Parallel()
	s := newGatedServer(t, 3, false, nil)
	const eve = "10.0.0.1"
	var open []*gatedClient
	for range 3 {
		c := s.dial(eve)
		require.Equal(t, http.StatusOK, c.get("/api").StatusCode)
		open = append(open, c)
	}
	refused := func() {
		t.Helper()
		c := s.dial(eve)
		answer := c.get("/api")
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		require.Equal(t, "5", answer.Header.Get("Retry-After"))
		var p struct{ Code, Detail string }
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&p))
		require.Equal(t, "too-many-connections", p.Code)
		require.Equal(t, "your address has its limit of 3 connections to this server", p.Detail)
		_, err := c.from.ReadByte()
		require.ErrorIs(t, err, io.EOF, "and that is the end of it")
	}
	refused()
	require.Equal(t, http.StatusOK, open[0].get("/api").StatusCode, "what is open goes on")
	require.Equal(t, http.StatusOK, s.dial(eve).get("/healthz").StatusCode)
	require.Equal(t, http.StatusOK, s.dial("10.0.0.2").get("/api").StatusCode, "another address")
	for range 5 {
		require.Equal(t, http.StatusOK, s.dial("10.9.9.9").get("/api").StatusCode, "a proxy's connections are those of many")
	}
	s.awaitOpen(eve, 3)

	require.Equal(t, http.StatusOK, open[0].get("/events").StatusCode)
	s.awaitOpen(eve, 2)
	require.Equal(t, http.StatusOK, s.dial(eve).get("/api").StatusCode)
	refused()
	close(s.release)
	s.awaitOpen(eve, 4) // the stream is over, and its connection waits
	for _, c := range open {
		_ = c.Close()
	}
	s.awaitOpen(eve, 1)
	require.Equal(t, http.StatusOK, s.dial(eve).get("/api").StatusCode)

	// Those that say nothing are as many, and some more that could get an answer.
	silent := make([]*gatedClient, 2*farOver+3)
	for i := range silent {
		silent[i] = s.dial(eve)
	}
	for _, c := range silent[farOver+3:] {
		_, err := c.from.ReadByte()
		require.Error(t, err)
	}
	s.awaitOpen(eve, farOver+3)
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, 2+farOver+2, s.reached["address_connections"])
}

// TestAProxyThatIsSlowToSayItsClientDelaysNoOthers has the address of a connection come late.
func TestAProxyThatIsSlowToSayItsClientDelaysNoOthers(t *testing.T) {
	t.Parallel()
	known := make(chan struct{})
	first := true
	var mu sync.Mutex
	s := newGatedServer(t, 1, true, func() net.Addr {
		mu.Lock()
		slow := first
		first = false
		mu.Unlock()
		if slow {
			<-known
		}
		return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
	})
	slow := s.dial("127.0.0.1")
	s.waitUntil(func() bool { mu.Lock(); defer mu.Unlock(); return !first })
	fast := s.dial("127.0.0.1")
	require.Equal(t, http.StatusOK, fast.get("/api").StatusCode)
	s.awaitOpen("10.0.0.1", 1)
	close(known)
	s.awaitOpen("10.0.0.1", 2)
	require.Equal(t, http.StatusServiceUnavailable, slow.get("/api").StatusCode)
}

func (s *gatedServer) waitUntil(condition func() bool) {
	s.t.Helper()
	require.Eventually(s.t, condition, test.Patience, time.Millisecond)
}
