package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
)

// TestRequestsHaveDeadlinesAndStreamsHaveNot: a request that does not arrive ends,
// whatever its path and without a token too, and what is to stay open does.
func TestRequestsHaveDeadlinesAndStreamsHaveNot(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	events := gateway.NewEvents(n.Broker, gateway.EventsOptions{})
	t.Cleanup(events.Wait)
	mux := http.NewServeMux()
	mux.Handle("GET /events", events)
	mux.Handle("/api/", httpapi.New(n.Broker, httpapi.Options{}))
	server := newHTTPServer(mux, slog.New(slog.DiscardHandler))
	server.ReadTimeout, server.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})

	stream, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer stream.Close()
	_, err = fmt.Fprintf(stream, "GET /events?destination=/topic/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", test.Token(t, "ann", time.Hour, auth.AllGrants()))
	require.NoError(t, err)
	lines := bufio.NewScanner(stream)
	require.True(t, scanTo(lines, "event: connected"))

	for _, path := range []string{"POST /api/send", "POST /nowhere", "GET /events?destination=/topic/a", "GET /events", "HEAD /events"} {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(c, path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(test.Patience)))
		_, err = io.Copy(io.Discard, c)
		require.NoError(t, err, "%s: the server closes the connection", path)
		_ = c.Close()
	}

	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/topic/a", "receipt", "r", "still here")
	c.Receipt("r")
	require.True(t, scanTo(lines, "still here"), "the stream is older than both deadlines")
}

func scanTo(lines *bufio.Scanner, text string) bool {
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return true
		}
	}
	return false
}
