package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestMain lets the test binary be the program under test, in processes of its own.
func TestMain(m *testing.M) {
	if address := os.Getenv("TEST_AS_HOLDER"); address != "" {
		holdMessages(address)
		return
	}
	if fault := os.Getenv("TEST_AS_FAULTY"); fault != "" && os.Args[1] == "serve" {
		serveFaulty(fault)
		return
	}
	if os.Getenv("TEST_AS_HUNG_UP") != "" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGHUP)
		return
	}
	if os.Getenv("TEST_AS_STOMPBOX") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), append(env, "TEST_AS_STOMPBOX=1")...)
	cmd.Dir = t.TempDir()
	return cmd
}

// run runs a command to its end.
func run(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := command(t, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

type process struct {
	cmd       *exec.Cmd
	http, tcp string
	passcode  string // of the login guest, where it is another than in development mode
	stderr    *test.Log
}

// serve starts a broker and returns when it answers.
func serve(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return serveWith(t, os.Args[0], env, args...)
}

// serveWith is serve for another program.
func serveWith(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{stderr: new(test.Log)}
	p.http = test.Address(t)
	p.tcp = test.Address(t)
	p.cmd = command(t, env, append([]string{"serve", "--http", p.http, "--stomp", p.tcp, "--data-dir", t.TempDir()}, args...)...) // a later --data-dir wins
	p.cmd.Path = program
	p.cmd.Stderr = p.stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() {
			said := p.stderr.String()
			t.Logf("process %d said, at the end:\n%s", p.cmd.Process.Pid, said[max(len(said)-8000, 0):])
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", p.tcp)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, test.Patience, 20*time.Millisecond, "%s", p.stderr)
	return p
}

// says waits for a line that matches. A process has written it before it answers, but the
// copy of what it writes may come later.
func (p *process) says(t *testing.T, line string) {
	t.Helper()
	pattern := regexp.MustCompile(line)
	require.Eventually(t, func() bool { return pattern.MatchString(p.stderr.String()) }, test.Patience, 10*time.Millisecond, "%s: %s", line, p.stderr)
}

// stop sends SIGTERM and wants exit code 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait(), p.stderr.String())
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

func TestDevelopmentModeServesEverythingAndStopsCleanly(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--dev")
	status, page := get(t, "http://"+p.http+"/")
	require.Equal(t, 200, status)
	require.Contains(t, page, "stompbox chat")
	status, token := get(t, "http://"+p.http+"/dev/token?user=alice")
	require.Equal(t, 200, status)
	status, _ = get(t, "http://"+p.http+"/dev/token")
	require.Equal(t, 400, status)
	status, text := get(t, "http://"+p.http+"/readyz")
	require.Equal(t, 200, status, text)
	_, metrics := get(t, "http://"+p.http+"/metrics")
	require.Contains(t, metrics, "stompbox_sessions 0")

	request, err := http.NewRequest(http.MethodGet, "http://"+p.http+"/dev/token?user=x", nil)
	require.NoError(t, err)
	request.Host = "evil.example"
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode, "a foreign name for this machine")

	listening := command(t, nil, "listen", "--url", "ws://"+p.http+"/ws", "--token", token, "--json", "-n", "1", "/topic/**")
	out, err := listening.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, listening.Start())
	require.Eventually(t, func() bool {
		_, metrics := get(t, "http://"+p.http+"/metrics")
		return strings.Contains(metrics, "stompbox_subscriptions 1")
	}, 10*time.Second, 20*time.Millisecond)
	_, stderr, err := run(t, nil, "send", "--url", "tcp://"+p.tcp, "-H", "colour:red", "/topic/a", "hello")
	require.NoError(t, err, stderr)
	heard, err := io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, listening.Wait())
	require.Contains(t, string(heard), `"body":"hello"`)
	require.Contains(t, string(heard), `"colour":"red"`)
	require.Contains(t, string(heard), `"user":"guest"`)
	_, stderr, err = run(t, nil, "send", "--url", "tcp://"+p.tcp, "/nowhere/a", "hello")
	require.Error(t, err)
	require.Contains(t, stderr, "has to begin with /topic/")
	p.stop(t)
	require.NotContains(t, p.stderr.String(), token)
}

// TestTwoProcessesShareOneNATS joins a broker to the embedded server of another.
func TestTwoProcessesShareOneNATS(t *testing.T) {
	t.Parallel()
	address := test.Address(t)
	first := serve(t, nil, "--dev", "--nats-listen", address)
	second := serve(t, nil, "--dev", "--nats", "nats://"+address)
	for destination, listen := range map[string]string{"/topic/chat.room1": "/topic/chat.*", "/user/guest/queue/x": "/user/queue/x"} {
		listening := command(t, nil, "listen", "--url", "ws://"+second.http+"/ws", "-n", "1", listen)
		out, err := listening.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, listening.Start())
		require.Eventually(t, func() bool {
			_, metrics := get(t, "http://"+second.http+"/metrics")
			return strings.Contains(metrics, "stompbox_subscriptions 1")
		}, 10*time.Second, 20*time.Millisecond)
		time.Sleep(200 * time.Millisecond) // listen asks for no receipt, so its interest is on the way
		_, stderr, err := run(t, nil, "send", "--url", "tcp://"+first.tcp, destination, "hello neighbour")
		require.NoError(t, err, stderr)
		heard, err := io.ReadAll(out)
		require.NoError(t, err)
		require.NoError(t, listening.Wait())
		require.Contains(t, string(heard), "hello neighbour")
	}
	second.stop(t)
	first.stop(t)
}

func TestServeRefusesWhatIsNotSafe(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"set auth.jwt.secret": {"serve"},
		"beyond loopback":     {"serve", "--dev", "--http", "0.0.0.0:0"},
		"unknown flag":        {"serve", "--htp", "x"},
		"unknown command":     {"srve"},
	} {
		_, stderr, err := run(t, nil, args...)
		require.Error(t, err)
		require.Contains(t, stderr, says)
	}
	out, _, err := run(t, nil, "config", "check", "--dev")
	require.NoError(t, err)
	require.Contains(t, out, "fine")
}

// TestTheLastLineNamesWhatCannotBeOpened: the setting, the address and the true cause, for each
// listener and for the data directory.
func TestTheLastLineNamesWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	const cluster = "cluster: { node: a, peers: ['127.0.0.1:1'], listen: '"
	taken, foreign := occupied(t), "203.0.113.7:18080"
	isFile := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(isFile, nil, 0o600))
	tests := map[string]string{"data_dir: " + isFile + "\n": "data_dir: " + isFile + " is not a folder"}
	for key, file := range map[string]string{
		"http.listen": "http: { listen: '", "stomp.listen": "stomp: { listen: '", "metrics.listen": "metrics: { listen: '",
		"admin.listen": "admin: { listen: '", "nats.listen": "nats: { listen: '", "cluster.listen": cluster,
	} {
		tests[file+taken+"' }\n"] = key + ": " + taken + " is in use by another program; see who has it: ss -ltnp"
		if key == "http.listen" || key == "stomp.listen" { // the others need secrets beyond loopback
			tests[file+foreign+"' }\n"] = key + ": " + foreign + " is not an address of this machine; use an address of this machine"
		}
	}
	tests["nats: { user: a, password: a password of this test, listen: '"+foreign+"' }\n"] = "nats.listen: " + foreign + " is not an address of this machine"
	tests["cluster: { node: a, peers: ['127.0.0.1:1'], user: a, password: a password of this test, listen: '"+foreign+"' }\n"] = "cluster.listen: " + foreign + " is not an address of this machine"
	for text, says := range tests {
		if !strings.HasPrefix(text, "http:") {
			text += "http: { listen: '127.0.0.1:0' }\n"
		}
		if !strings.HasPrefix(text, "data_dir:") {
			text += "data_dir: " + t.TempDir() + "\n"
		}
		file := filepath.Join(t.TempDir(), "stompbox.yaml")
		require.NoError(t, os.WriteFile(file, []byte("auth: { jwt: { secret: '"+benchSecret+"' } }\n"+text), 0o600))
		_, stderr, err := run(t, nil, "serve", "-c", file)
		require.Error(t, err, text)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		require.Contains(t, lines[len(lines)-1], says, text)
	}
}

func occupied(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestTokensWorkOutsideOfDevelopmentModeOnlyWithItsKey(t *testing.T) {
	t.Parallel()
	env := []string{"STOMPBOX_AUTH_JWT_SECRET=" + benchSecret}
	p := serve(t, env)
	token, stderr, err := run(t, env, "token", "--user", "alice", "--ttl", "1h", "--send", "/topic/ok")
	require.NoError(t, err, stderr)
	require.Len(t, strings.Fields(token), 1, "one token and nothing else")
	token = strings.TrimSpace(token)
	_, stderr, err = run(t, nil, "send", "--url", "ws://"+p.http+"/ws", "--token", token, "/topic/ok", "x")
	require.NoError(t, err, stderr)
	_, stderr, err = run(t, nil, "send", "--url", "ws://"+p.http+"/ws", "--token", token, "/topic/no", "x")
	require.Error(t, err)
	require.Contains(t, stderr, "no send permission")
	dev, stderr, err := run(t, nil, "token", "--user", "alice")
	require.NoError(t, err)
	require.Contains(t, stderr, "development key")
	for _, args := range [][]string{{"--token", strings.TrimSpace(dev)}, {"--login", "guest", "--passcode", "guest"}} {
		_, stderr, err = run(t, nil, append([]string{"send", "--url", "ws://" + p.http + "/ws", "/topic/ok", "x"}, args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, "authentication failed")
	}
	status, _ := get(t, "http://"+p.http+"/")
	require.Equal(t, 404, status)
	status, _ = get(t, "http://"+p.http+"/dev/token?user=x")
	require.Equal(t, 404, status)
	status, _ = get(t, "http://"+p.http+"/metrics")
	require.Equal(t, 404, status)
	p.stop(t)
}

func TestTLSOnBothListeners(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	p := serve(t, []string{"STOMPBOX_HTTP_TLS_CERT=" + cert, "STOMPBOX_HTTP_TLS_KEY=" + key, "STOMPBOX_STOMP_TLS_CERT=" + cert, "STOMPBOX_STOMP_TLS_KEY=" + key}, "--dev")
	connect := string(frames.Append(nil, frames.New(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest"), frames.V12))
	ws, _, err := (&websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pool}}).DialContext(context.Background(), "wss://"+p.http+"/ws", nil)
	require.NoError(t, err)
	defer ws.Close()
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(connect)))
	_, text, err := ws.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(text), "CONNECTED")

	c, err := tls.Dial("tcp", p.tcp, &tls.Config{RootCAs: pool})
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, connect+"SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00SEND\ndestination:/topic/a\n\none\x00SEND\ndestination:/topic/a\n\ntwo\x00DISCONNECT\nreceipt:9\n\n\x00")
	require.NoError(t, err)
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	for _, want := range []string{"CONNECTED", "one\x00", "two\x00", "receipt-id:9"} {
		require.Contains(t, string(all), want)
	}

	// Events over HTTP/2, which ALPN chooses, and the clean end of a stream at a stop.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	events, err := http.NewRequest(http.MethodGet, "https://"+p.http+"/events?destination=/topic/a", nil)
	require.NoError(t, err)
	events.SetBasicAuth("guest", "guest")
	answer, err := (&http.Client{Transport: transport}).Do(events)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 2, answer.ProtoMajor)
	hello := make([]byte, len("retry: 2000\nevent: connected\n"))
	_, err = io.ReadFull(answer.Body, hello)
	require.NoError(t, err)
	require.Equal(t, "retry: 2000\nevent: connected\n", string(hello))
	_ = ws.Close()
	p.stop(t)
}

func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	return certificateUntil(t, time.Now().Add(time.Hour))
}

// certificateUntil is certificate with when it ends.
func certificateUntil(t *testing.T, ends time.Time) (cert, key string, pool *x509.CertPool) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: ends, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"stomp.example"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return cert, key, pool
}

// TestTheBenchmarksRun runs each at its smallest: they check order and loss.
func TestTheBenchmarksRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Parallel()
	for _, args := range [][]string{
		{"fanout", "--connections", "20", "--messages", "50"}, {"pingpong", "--messages", "50"},
		{"idle", "--connections", "100"}, {"sse", "--connections", "3", "--messages", "20"}, {"tls", "--connections", "3", "--messages", "20"},
		{"cluster", "--connections", "5", "--messages", "20"}, {"fanout", "--connections", "3", "--messages", "10", "--size", "40000"},
		{"fanout", "--connections", "2", "--messages", "3", "--in-flight", "1", "--size", "4194304"}, {"history", "--messages", "200"},
		{"queue", "--connections", "2", "--messages", "200"}, {"app", "--connections", "2", "--messages", "200", "--rate", "1000"},
		{"resume", "--connections", "40", "--messages", "5"},
	} {
		out, stderr, err := run(t, nil, append([]string{"bench", "--rounds", "1"}, args...)...)
		require.NoError(t, err, stderr)
		require.Contains(t, out, "median:")
		require.NotRegexp(t, "NaN|Inf|median: 0.00", out)
	}
}

// TestABenchmarkOfNothingIsRefused, and so is a flag without effect.
func TestABenchmarkOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"fanout --connections 0", "--connections: 0 is not above 0"},
		{"fanout --rounds -1", "--rounds: -1 is not above 0"},
		{"fanout --in-flight 0", "--in-flight: 0 is not above 0"},
		{"queue --size 0", "--size: 0 is not above 0"},
		{"queue --size 4194305", "--size: 4194305 is above 4194304, the default of limits.body"},
		{"cluster --connections 1", "--connections: two nodes need 2 or more"},
		{"queue --burst", "unknown flag: --burst"},
		{"idle --messages 10", "unknown flag: --messages"},
		{"scale --sessions 10,0", "--sessions: 0 is not above 0"},
		{"connections --nodes 0", "--nodes: 0 is not above 0"},
		{"scale --sessions 10,2000000", "--sessions: 2000000 is above 1000000"},
		{"scale --sessions 10 --charts /dev/null/charts", "--charts: mkdir /dev/null"},
		{"connections --connections 100 --charts /dev/null/charts", "--charts: mkdir /dev/null"},
		{"connections --idle 0s", "--idle: 0s is not above 0"},
	} {
		_, stderr, err := run(t, nil, append([]string{"bench"}, strings.Fields(c.args)...)...)
		require.Error(t, err, c.args)
		require.Contains(t, stderr, c.want, c.args)
	}
}
