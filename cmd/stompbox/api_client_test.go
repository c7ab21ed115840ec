package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// answering is a server that answers each path of the API with a text.
func answering(t *testing.T, answers map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestWhatANodeDidNotDoIsNoSuccess of commands that change something; those that list say what
// they leave out.
func TestWhatANodeDidNotDoIsNoSuccess(t *testing.T) {
	t.Parallel()
	const ended = `{"disconnected":1,"missing":["n3","n\u001b4"],"kept":true}`
	url := answering(t, map[string]string{
		"POST /api/users/dora/disconnect": ended, "POST /api/bans": ended, "DELETE /api/bans": ended,
		"POST /api/users/dora/unsubscribe": `{"unsubscribed":2,"missing":["n3"]}`,
		"POST /api/users/none/disconnect":  `{"disconnected":0,"missing":["n3"]}`,
		"GET /api/users":                   `{"users":[],"missing":["n3"]}`,
		"GET /api/nodes":                   `{"nodes":[],"missing":["n3"],"lost":[{"name":"n4","since":"2030-01-31T12:00:00Z"}]}`,
	})
	for line, says := range map[string][2]string{
		"disconnect dora":                     {"disconnected dora; 1 sessions were ended\n", `stompbox: no answer from n3, n\x1b4: what is there goes on, so run this again`},
		"disconnect none":                     {"no session of none was found\n", "no answer from n3: what is there goes on, so run this again"},
		"disconnect dora --for 10m":           {"disconnected and banned dora; 1 sessions were ended\n", `no answer from n3, n\x1b4: they learn of this when they are back`},
		"unsubscribe dora --destination /t/a": {"ended 2 subscriptions of dora\n", "no answer from n3: what is there goes on, so run this again"},
		"ban dora --for 1h":                   {"banned dora; 1 sessions were ended\n", "they learn of this when they are back"},
		"unban dora":                          {"dora may connect again\n", "they learn of this when they are back"},
	} {
		out, stderr, err := run(t, nil, append(strings.Fields(line), "--url", url)...)
		require.Error(t, err, line)
		require.Equal(t, says[0], out, line)
		require.Contains(t, stderr, says[1], line)
	}
	_, stderr, err := run(t, nil, "users", "--url", url)
	require.NoError(t, err, stderr)
	require.Equal(t, "stompbox: no answer from n3\n", stderr)
	out, stderr, err := run(t, []string{"TZ=UTC"}, "nodes", "--url", url)
	require.NoError(t, err, stderr)
	require.Regexp(t, `(?m)^n3 +- +- +no answer +-`, out)
	require.Regexp(t, `(?m)^n4 +- +- +lost since 2030-01-31 12:00:00 +-`, out)
	require.Contains(t, stderr, "n4 is lost: nothing was heard of it since 2030-01-31 12:00:00\n")
}

// TestWhoIsNotThereIsNoSuccess: to end what there is not is a mistake in a name.
func TestWhoIsNotThereIsNoSuccess(t *testing.T) {
	t.Parallel()
	url := answering(t, map[string]string{
		"POST /api/users/eve/disconnect": `{"disconnected":0}`, "POST /api/users/eve/unsubscribe": `{"unsubscribed":0}`,
		"POST /api/users/dora/disconnect":  `{"disconnected":1,"lost":[{"name":"n\u001b4","since":"2030-01-31T12:00:00Z"}]}`,
		"POST /api/users/dora/unsubscribe": `{"unsubscribed":1,"lost":[{"name":"n\u001b4","since":"2030-01-31T12:00:00Z"}]}`,
	})
	for line, says := range map[string]string{
		"disconnect eve":                     "user eve is not connected to any node",
		"disconnect eve --session x":         "user eve has no session x on any node",
		"unsubscribe eve --destination /t/a": "user eve has no such subscription on any node",
	} {
		out, stderr, err := run(t, nil, append(strings.Fields(line), "--url", url)...)
		require.Error(t, err, line)
		require.Contains(t, stderr, says)
		require.Empty(t, out)
	}
	out, stderr, err := run(t, nil, "disconnect", "eve", "--for", "1h", "--url", url)
	require.NoError(t, err, stderr)
	require.Equal(t, "disconnected and banned eve; 0 sessions were ended\n", out)
	for _, line := range []string{"disconnect dora", "unsubscribe dora --destination /t/a"} {
		_, stderr, err = run(t, nil, append(strings.Fields(line), "--url", url)...)
		require.NoError(t, err, stderr)
		require.Equal(t, `stompbox: not asked, since nothing is heard of them: n\x1b4; what is on a node that still runs goes on`+"\n", stderr)
	}
}

// TestASilentBrokerEndsEachCommand that talks to it, and the error says what to look at.
func TestASilentBrokerEndsEachCommand(t *testing.T) {
	t.Parallel()
	// As the system does it for a process that is stopped: it takes connections, and nothing more.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	address := silent.Addr().String()
	dir := t.TempDir()
	for _, line := range []string{
		"users", "sessions", "nodes", "bans", "top --once", "queue list", "queue peek /queue/a", "queue purge --yes /queue/a", "history read /topic/a", "history list",
		"disconnect dora", "ban dora --for 1h", "reload", "backup " + filepath.Join(dir, "backup"), "health http://" + address,
		"send --url ws://" + address + "/ws /topic/a b", "send --url tcp://" + address + " /topic/a b", "subscribe --url ws://" + address + "/ws /topic/a", "request --url tcp://" + address + " /app/a b",
	} {
		args := append(strings.Fields(line), "--timeout", "200ms")
		if !strings.Contains(line, "://") {
			args = append(args, "--url", "http://"+address)
		}
		_, stderr, err := run(t, nil, args...)
		require.Error(t, err, line)
		require.Contains(t, stderr, "no answer within 200ms; the broker hangs, is overloaded or is cut off", line)
		require.Contains(t, stderr, "--timeout", line)
		require.Equal(t, strings.HasPrefix(line, "disconnect") || strings.HasPrefix(line, "ban ") || strings.Contains(line, "purge") || line == "reload",
			strings.Contains(stderr, "It may still do what it was asked for"), line)
	}
	_, stderr, err := run(t, nil, "users", "--timeout", "0s")
	require.Error(t, err)
	require.Contains(t, stderr, "it has to be above 0")
}

// TestATransferLastsAsLongAsItMoves, and one that stands still as long as the broker answers
// otherwise.
func TestATransferLastsAsLongAsItMoves(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	var well atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/backup":
			_, _ = io.WriteString(w, `{"streams":[{"name":"x","kind":"queues"}]}`)
		case r.URL.Path == "/healthz" && well.Load():
			select {
			case asked <- struct{}{}:
			default:
			}
		case r.URL.Path == "/healthz":
			http.Error(w, "bad", http.StatusBadGateway)
		case well.Load():
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-asked
			_, _ = io.WriteString(w, " and end")
		default:
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	_, stderr, err := run(t, nil, "backup", filepath.Join(t.TempDir(), "a"), "--url", s.URL, "--timeout", "100ms")
	require.Error(t, err)
	require.Contains(t, stderr, "the broker hangs")
	well.Store(true)
	dir := filepath.Join(t.TempDir(), "b")
	out, stderr, err := run(t, nil, "backup", dir, "--url", s.URL, "--timeout", "100ms")
	require.NoError(t, err, "%s%s", out, stderr)
	text, err := os.ReadFile(filepath.Join(dir, "x.snapshot"))
	require.NoError(t, err)
	require.Equal(t, "begin and end", string(text))
}

// TestErrorsOfAddressesSayWhatToWrite for all commands that take one.
func TestErrorsOfAddressesSayWhatToWrite(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			_, _ = io.WriteString(w, "ok\n")
			return
		}
		_, _ = io.WriteString(w, `{"users":[],"changed":[]}`)
	}))
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/users") {
			http.Redirect(w, r, "https://stomp.example/api/users", http.StatusMovedPermanently)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(plain.Close)
	on := func(s *httptest.Server, scheme string) string { return scheme + "://" + s.Listener.Addr().String() }
	for line, says := range map[string]string{
		"users --url " + on(secure, "https"):             "its certificate is of an authority that this machine does not trust; name the PEM file of that authority with --ca",
		"send --url " + on(secure, "wss") + "/ws /t/a b": "its certificate is of an authority that this machine does not trust; name the PEM file of that authority with --ca",
		"reload --url " + on(secure, "https"):            "name the PEM file of that authority with --ca",
		"health " + on(secure, "https"):                  "name the PEM file of that authority with --ca",
		"users --url " + on(secure, "http"):              "it speaks TLS; use https:// in --url",
		"users --url " + on(secure, "ws") + "/ws":        "it speaks TLS; use https:// in --url",
		"send --url " + on(secure, "ws") + "/ws /t/a b":  "it speaks TLS; use wss:// in --url",
		"health " + on(secure, "http"):                   "it speaks TLS; use https://",
		"users --url " + on(plain, "https"):              "it does not speak TLS; use http:// in --url",
		"send --url " + on(plain, "wss") + "/ws /t/a b":  "it does not speak TLS; use ws:// in --url",
		"users --url " + on(plain, "http"):               "it redirects to https://stomp.example/api/users; use that address in --url",
		"nodes --url " + on(plain, "http"):               "the server answers 404 Not Found; that is no answer of a broker's HTTP API",
		"users --url foo":                                "such as http://127.0.0.1:8080",
		"users --url 127.0.0.1:8080":                     "such as http://127.0.0.1:8080",
		"reload --url foo":                               "such as http://127.0.0.1:8080",
		"reload":                                         "there is no stompbox.yaml here; name the file of the broker with -c",
		"users --url https://a --ca nowhere":             "--ca: open nowhere",
		"send --url wss://a/ws --ca nowhere /topic/a b":  "--ca: open nowhere",
		"send --url foo /topic/a b":                      "use ws://, wss:// or tcp://, such as",
		"users --url http://" + test.Address(t):          "no program listens there; start the broker",
		"reload --url http://" + test.Address(t):         "no program listens there; start the broker",
	} {
		_, stderr, err := run(t, nil, strings.Fields(line)...)
		require.Error(t, err, line)
		require.Contains(t, stderr, says, line)
	}
	for _, line := range []string{"users --url https://%s --ca %s", "users --url wss://%s/ws --ca %s", "reload --url wss://%s/ws --ca %s", "health wss://%s/ws --ca %s", "reload --url https://%s --ca %s"} {
		_, stderr, err := run(t, nil, strings.Fields(fmt.Sprintf(line, secure.Listener.Addr(), ca))...)
		require.NoError(t, err, "%s: %s", line, stderr)
	}
}
