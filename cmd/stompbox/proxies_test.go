package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// recipe returns the blocks of a language below a heading of docs/proxies.md.
func recipe(t *testing.T, heading, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/proxies.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, ok, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	for {
		_, rest, ok := strings.Cut(section, "```"+language+"\n")
		if !ok {
			require.NotEmpty(t, blocks, heading)
			return blocks
		}
		block, rest, ok := strings.Cut(rest, "```\n")
		require.True(t, ok)
		blocks, section = append(blocks, block), rest
	}
}

// adapt replaces names and addresses of a recipe, each of which it has to have.
func adapt(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// behind are two nodes that trust a proxy on this machine, which shows the certificate.
type behind struct {
	nodes     [2]*process
	cert, key string
	tls       *tls.Config
	dir       string
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	cert, key, pool := certificate(t)
	return &behind{dir: t.TempDir(), cert: cert, key: key, tls: &tls.Config{RootCAs: pool}}
}

// guest is a configuration with a login for all; that of --dev takes pages of this machine.
func guest(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("a passcode behind proxies"), bcrypt.MinCost)
	require.NoError(t, err)
	return fmt.Sprintf("auth: { logins: [{ login: guest, passcode_hash: '%s', permissions: { send: ['/**'], subscribe: ['/**'] } }] }\n", hash)
}

// nodesBehindProxies begins the nodes.
func nodesBehindProxies(t *testing.T) *behind {
	t.Helper()
	b := newBehind(t)
	for i := range b.nodes {
		file := filepath.Join(t.TempDir(), "stompbox.yaml")
		require.NoError(t, os.WriteFile(file, []byte("http: { trusted_proxies: [127.0.0.1] }\n"+guest(t)), 0o600))
		b.nodes[i] = serve(t, nil, "-c", file)
	}
	return b
}

// write writes a file for the proxy.
func (b *behind) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// both is the certificate and its key in one file.
func (b *behind) both(t *testing.T) string {
	t.Helper()
	cert, err := os.ReadFile(b.cert)
	require.NoError(t, err)
	key, err := os.ReadFile(b.key)
	require.NoError(t, err)
	return b.write(t, "both.pem", string(cert)+string(key))
}

// addresses are those of the nodes in the recipes, and where they are here.
func (b *behind) addresses() []string {
	return []string{"10.0.0.1:8080", b.nodes[0].http, "10.0.0.2:8080", b.nodes[1].http, "10.0.0.3:8080", b.nodes[0].http}
}

// proxy is a program that a test needs, and ends.
func proxy(t *testing.T, answersAt string, env []string, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		if name != "traefik" && os.Getenv("TEST_NEEDS_PROXIES") != "" {
			t.Fatal(err)
		}
		t.Skip(name + " is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said := new(test.Log)
	cmd.Stdout, cmd.Stderr = said, said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said)
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", answersAt)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, test.Patience, 20*time.Millisecond, "%s", said)
}

// site is what the certificate is for. Its port is not the default one.
func site(at string) string {
	_, port, _ := net.SplitHostPort(at)
	return "stomp.example:" + port
}

// from is a client whose address is not that of the proxy.
const from = "127.0.0.2"

// dial returns what connects from an address, whatever name is asked for.
func dial(from, at string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		return d.DialContext(ctx, "tcp", at)
	}
}

func (b *behind) client(t *testing.T, from, at string) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: b.tls, DialContext: dial(from, at)}
	t.Cleanup(transport.CloseIdleConnections)
	cookies, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Transport: transport, Jar: cookies}
}

// webSocket opens one as a page of an origin does, with a lie about its address.
func (b *behind) webSocket(t *testing.T, at, origin string) (*websocket.Conn, int) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}, TLSClientConfig: b.tls, NetDialContext: dial(from, at)}
	header := http.Header{"Origin": {origin}, "X-Forwarded-For": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6;proto=http"}}
	ws, answer, err := dialer.Dial("wss://"+site(at)+"/ws", header)
	if err != nil {
		require.NotNil(t, answer, "%v", err)
		return nil, answer.StatusCode
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws, answer.StatusCode
}

// ready waits until the proxy has found a node that is ready.
func (b *behind) ready(t *testing.T, at string) {
	t.Helper()
	client := b.client(t, from, at)
	require.Eventually(t, func() bool {
		answer, err := client.Get("https://" + site(at) + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, test.Patience, 50*time.Millisecond)
}

// works has pages and clients of all kinds use a proxy that listens at an address.
func (b *behind) works(t *testing.T, at string) {
	t.Helper()
	b.ready(t, at)
	ws, status := b.webSocket(t, at, "https://"+site(at))
	require.Equal(t, http.StatusSwitchingProtocols, status, "a page of the same host and port")
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:a passcode behind proxies\n\n\x00")))
	_, connected, err := ws.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(connected), "CONNECTED\n")
	_, status = b.webSocket(t, at, "https://stomp.example:1")
	require.Equal(t, http.StatusForbidden, status, "a page on another port")
	_, status = b.webSocket(t, at, "http://"+site(at))
	require.Equal(t, http.StatusForbidden, status, "a page without TLS")
	b.logged(t, "session connected.* remote="+from+":", b.nodes[0], b.nodes[1]) // the client's address

	b.streams(t, at)
	b.sockJS(t, at)
	require.NotContains(t, b.logs(), "6.6.6.6", "what the client made up")
}

func (b *behind) logs() string {
	return b.nodes[0].stderr.String() + b.nodes[1].stderr.String()
}

// logged waits for a line of one of the nodes, which are processes of their own.
func (b *behind) logged(t *testing.T, pattern string, nodes ...*process) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(nodes, func(p *process) bool { return line.MatchString(p.stderr.String()) })
	}, test.Patience, 20*time.Millisecond, "%s: %s", pattern, b.logs())
}

// streams wants an event while the stream is open. It may come from either node.
func (b *behind) streams(t *testing.T, at string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+site(at)+"/events?destination=/topic/a", nil)
	require.NoError(t, err)
	request.SetBasicAuth("guest", "a passcode behind proxies")
	answer, err := b.client(t, from, at).Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	require.Equal(t, http.StatusOK, answer.StatusCode)
	lines := bufio.NewScanner(answer.Body)
	require.True(t, lines.Scan()) // it is subscribed
	for _, node := range b.nodes {
		test.DialAddress(t, node.tcp).Connect("login", "guest", "passcode", "a passcode behind proxies").Send(frames.SEND, "destination", "/topic/a", "while it is open")
	}
	require.True(t, scanTo(lines, "data: while it is open"))
}

// sockJS opens sessions by polling, whose requests have to come to one node.
func (b *behind) sockJS(t *testing.T, at string) {
	t.Helper()
	for i := range 20 {
		client := b.client(t, fmt.Sprintf("127.0.0.%d", 2+i), at)
		session := fmt.Sprintf("https://%s/sockjs/%03d/session%02d", site(at), i, i)
		post := func(path, body string) (int, string) {
			t.Helper()
			answer, err := client.Post(session+path, "text/plain", strings.NewReader(body))
			require.NoError(t, err)
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			return answer.StatusCode, string(text)
		}
		_, opened := post("/xhr", "")
		require.Equal(t, "o\n", opened)
		status, text := post("/xhr_send", `["CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:a passcode behind proxies\n\n\u0000"]`)
		require.Equal(t, http.StatusNoContent, status, text)
		_, connected := post("/xhr", "")
		require.Contains(t, connected, "CONNECTED")
	}
	for _, node := range b.nodes { // sessions are spread
		b.logged(t, "transport=sockjs", node)
	}
}

func TestBehindNginx(t *testing.T) {
	t.Parallel()
	b := nodesBehindProxies(t)
	at := test.Address(t)
	text := adapt(t, recipe(t, "nginx", "nginx")[0], append(b.addresses(), "listen 443 ssl", "listen "+at+" ssl",
		"/etc/ssl/stomp.example.pem", b.cert, "/etc/ssl/stomp.example.key", b.key)...)
	run := func(at, text string) {
		t.Helper()
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o777))
		around := "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			around += kind + "_temp_path " + kind + ";\n"
		}
		file := filepath.Join(dir, "nginx.conf")
		require.NoError(t, os.WriteFile(file, []byte("user root;\n"+around+text+"}\n"), 0o600))
		proxy(t, at, nil, "nginx", "-p", dir, "-c", file)
	}
	run(at, text)
	b.works(t, at)

	// Host $host drops the port, as the page says.
	wrong := test.Address(t)
	run(wrong, adapt(t, text, at, wrong, "Host $http_host", "Host $host"))
	_, status := b.webSocket(t, wrong, "https://"+site(wrong))
	require.Equal(t, http.StatusForbidden, status)
	b.logged(t, "a page was refused", b.nodes[0], b.nodes[1])
}

func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	b := nodesBehindProxies(t)
	at := test.Address(t)
	text := adapt(t, recipe(t, "HAProxy", "haproxy")[0], append(b.addresses(), "bind :443", "bind "+at, "/etc/haproxy/stomp.example.pem", b.both(t))...)
	proxy(t, at, nil, "haproxy", "-db", "-f", b.write(t, "haproxy.cfg", text))
	b.works(t, at)
}

func TestBehindCaddy(t *testing.T) {
	t.Parallel()
	b := nodesBehindProxies(t)
	at := test.Address(t)
	text := adapt(t, recipe(t, "Caddy", "caddyfile")[0], append(b.addresses(), "stomp.example {\n",
		fmt.Sprintf("{\n\tadmin off\n\tauto_https disable_redirects\n}\n%s {\n\tbind 127.0.0.1\n\ttls %s %s\n", site(at), b.cert, b.key))...)
	proxy(t, at, []string{"HOME=" + b.dir, "XDG_DATA_HOME=" + b.dir, "XDG_CONFIG_HOME=" + b.dir}, "caddy", "run", "--adapter", "caddyfile", "--config", b.write(t, "Caddyfile", text))
	b.works(t, at)
}

func TestBehindTraefik(t *testing.T) {
	t.Parallel()
	b := nodesBehindProxies(t)
	at := test.Address(t)
	blocks := recipe(t, "Traefik", "yaml")
	dynamic := b.write(t, "dynamic.yaml", adapt(t, blocks[1], append(b.addresses(), "/etc/ssl/stomp.example.pem", b.cert, "/etc/ssl/stomp.example.key", b.key)...))
	static := b.write(t, "static.yaml", adapt(t, blocks[0], `":443"`, at, "/etc/traefik/stompbox.yaml", dynamic)+"global: { sendAnonymousUsage: false, checkNewVersion: false }\n")
	proxy(t, at, nil, "traefik", "--configFile="+static)
	b.works(t, at)
}

// TestBehindHAProxyWithThePROXYProtocol: nodes end TLS, and know where clients are.
func TestBehindHAProxyWithThePROXYProtocol(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	config := recipe(t, "HAProxy", "yaml")[0]
	tcp, pages := [2]string{}, [2]string{}
	for i := range b.nodes {
		pages[i], tcp[i] = test.Address(t), test.Address(t)
		file := filepath.Join(t.TempDir(), "stompbox.yaml")
		require.NoError(t, os.WriteFile(file, []byte(adapt(t, config, "10.0.0.1:8443", pages[i], "10.0.0.1:61612", tcp[i], "10.0.0.10", "127.0.0.1", "tls.pem", b.cert, "tls.key", b.key)+guest(t)), 0o600))
		p := &process{stderr: new(test.Log), http: pages[i], tcp: tcp[i]}
		p.cmd = command(t, nil, "serve", "-c", file, "--data-dir", t.TempDir())
		p.cmd.Stderr = p.stderr
		require.NoError(t, p.cmd.Start())
		t.Cleanup(func() { _ = p.cmd.Process.Kill() })
		b.nodes[i] = p
	}
	at, stomp := test.Address(t), test.Address(t)
	text := adapt(t, recipe(t, "HAProxy", "haproxy")[1], "10.0.0.1:8443", pages[0], "10.0.0.2:8443", pages[1], "10.0.0.1:61612", tcp[0], "10.0.0.2:61612", tcp[1], "bind :443", "bind "+at, "bind :61612", "bind "+stomp)
	proxy(t, at, nil, "haproxy", "-db", "-f", b.write(t, "haproxy.cfg", text))
	b.ready(t, at)
	_, status := b.webSocket(t, at, "https://"+site(at))
	require.Equal(t, http.StatusSwitchingProtocols, status)

	secured := b.tls.Clone()
	secured.ServerName = "stomp.example"
	var conn net.Conn
	require.Eventually(t, func() bool {
		raw, err := dial(from, stomp)(t.Context(), "", "")
		if err != nil {
			return false
		}
		secure := tls.Client(raw, secured)
		if secure.Handshake() != nil {
			_ = raw.Close()
			return false
		}
		conn = secure
		return true
	}, test.Patience, 50*time.Millisecond)
	defer conn.Close()
	_, err := conn.Write([]byte("CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:a passcode behind proxies\n\n\x00"))
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\x00')
	require.NoError(t, err)
	require.Contains(t, answer, "CONNECTED")
	b.logged(t, `session connected.* remote=`+from+`:\d+ transport=tcp`, b.nodes[0], b.nodes[1])
}

// TestTheTemplateForAWSIsOne, as its linter says.
func TestTheTemplateForAWSIsOne(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed")
	}
	file := filepath.Join(t.TempDir(), "template.yaml")
	require.NoError(t, os.WriteFile(file, []byte(recipe(t, "AWS Application Load Balancer", "yaml")[0]), 0o600))
	said, err := exec.Command(tool, file).CombinedOutput()
	require.NoError(t, err, "%s", said)
}
