//go:build unix

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// serveWithFiles starts a broker that may have so many files open, and fewer at first.
func serveWithFiles(t *testing.T, files int, args ...string) *process {
	t.Helper()
	p := &process{stderr: new(test.Log), http: test.Address(t), tcp: test.Address(t)}
	script := fmt.Sprintf(`ulimit -Sn %d && ulimit -Hn %d && exec "$0" "$@"`, files/4, files)
	all := append([]string{"-c", script, os.Args[0], "serve", "--dev", "--http", p.http, "--stomp", p.tcp, "--data-dir", t.TempDir()}, args...)
	p.cmd = exec.Command("sh", all...)
	p.cmd.Env = append(os.Environ(), "TEST_AS_STOMPBOX=1")
	p.cmd.Dir = t.TempDir()
	p.cmd.Stderr = p.stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the broker said:\n%s", p.stderr)
		}
	})
	p.ready(t)
	return p
}

// TestFullOfConnectionsTheBrokerGoesOn: at the limit of open files connections are refused
// and counted, while the node answers about its health and JetStream opens files.
func TestFullOfConnectionsTheBrokerGoesOn(t *testing.T) {
	t.Parallel()
	const files, room = 160, 80
	p := serveWithFiles(t, files)
	p.says(t, fmt.Sprintf("limit=(%d|%d) hard=%d connections=%d", files, files-1, files, room)) // the runtime raises the soft limit
	first := test.DialAddress(t, p.tcp).Connect()
	first.Subscribe("q", "/queue/before", "ack", "client-individual")
	var open []*test.Client
	refused := func() bool {
		c := test.DialAddress(t, p.tcp)
		c.Send(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest")
		f, err := c.Next()
		require.NoError(t, err)
		if f.Command == frames.CONNECTED {
			open = append(open, c)
			return false
		}
		require.Contains(t, f.Get("message"), "limit of "+strconv.Itoa(room)+" connections")
		require.NotEmpty(t, f.Get("retry-after"))
		c.Closed()
		return true
	}
	for !refused() {
		require.LessOrEqual(t, len(open), room)
		if ws, _, err := websocket.DefaultDialer.Dial("ws://"+p.http+"/ws", nil); err == nil {
			t.Cleanup(func() { _ = ws.Close() })
		}
	}
	_, answer, err := websocket.DefaultDialer.Dial("ws://"+p.http+"/ws", nil)
	require.Error(t, err)
	require.NotNil(t, answer)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	_ = answer.Body.Close()

	// Connections that say nothing take no more than there is.
	silent := make([]net.Conn, 2*files)
	for i := range silent {
		if silent[i], err = net.Dial("tcp", p.http); err != nil {
			break
		}
	}
	for i := range 20 {
		queue := "/queue/q" + strconv.Itoa(i)
		first.Send(frames.SEND, "destination", queue, "receipt", "stored", "work")
		first.Receipt("stored")
		first.Subscribe(queue, queue)
		first.Message("work")
	}
	for _, c := range silent {
		if c != nil {
			_ = c.Close()
		}
	}
	alone := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/healthz", "/readyz", "/api/users", "/metrics"} {
		require.Eventually(t, func() bool {
			answer, err := alone.Get("http://" + p.http + path)
			if err != nil {
				return false // as long as the silent ones are not gone
			}
			defer answer.Body.Close()
			if path == "/api/users" {
				return answer.StatusCode == http.StatusServiceUnavailable
			}
			return answer.StatusCode == http.StatusOK
		}, test.Patience, test.Patience/1000, path)
	}
	_, metrics := get(t, "http://"+p.http+"/metrics")
	require.Regexp(t, regexp.MustCompile(`stompbox_connections_refused_total [1-9]`), metrics)
	require.Regexp(t, regexp.MustCompile(`stompbox_limits_reached_total\{limit="connections"\} [1-9]`), metrics)
	require.Contains(t, metrics, "stompbox_connection_limit "+strconv.Itoa(room))
	p.says(t, "connections are refused")

	for _, c := range open[:10] {
		c.Close()
	}
	require.Eventually(t, func() bool { return !refused() }, test.Patience, test.Patience/1000)
	p.stop(t)
}
