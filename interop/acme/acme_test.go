package acme

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// patience is how long anything may take on a slow machine.
const patience = 90 * time.Second

// domain is what the authority looks up with the DNS server of the test.
const domain = "stomp.example"

func TestMain(m *testing.M) {
	_ = os.Setenv("PEBBLE_VA_NOSLEEP", "1") // it waits before it looks otherwise
	os.Exit(m.Run())
}

// names is a DNS server that has every name at this address.
func names(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // by which Pebble asks
	require.NoError(t, err)
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(question)
		if q := question.Question[0]; q.Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(answer)
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return l.Addr().String()
}

// authority is Pebble, the test server of Let's Encrypt, which validates for real.
type authority struct {
	directory string
	server    string // PEM file of who signed its own certificate
	roots     *x509.CertPool
}

func newAuthority(t *testing.T, httpPort, tlsPort int) *authority {
	t.Helper()
	logger := log.New(io.Discard, "", 0)
	if testing.Verbose() {
		logger = log.Default()
	}
	store := db.NewMemoryStore()
	signer := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "d", ValidityPeriod: 7 * 24 * 3600}})
	validator := va.New(logger, httpPort, tlsPort, true, names(t), store)
	front := wfe.New(logger, store, validator, signer, []string{"pebble.example"}, true, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	a := &authority{directory: server.URL + wfe.DirectoryPath, server: filepath.Join(t.TempDir(), "ca.pem"), roots: x509.NewCertPool()}
	require.NoError(t, os.WriteFile(a.server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.True(t, a.roots.AppendCertsFromPEM(signer.GetRootCert(0).PEM()))
	return a
}

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stompbox")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "stompbox")
	build := exec.Command("go", "build", "-o", file, "./cmd/stompbox")
	build.Dir = filepath.Join("..", "..")
	build.Stderr = os.Stderr
	return file, build.Run()
})

// output collects what a process says.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// issued returns when the process says that it has its certificate, or that it has none.
func (o *output) issued(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		said := o.String()
		return strings.Contains(said, "a certificate is here") || strings.Contains(said, "could not be had")
	}, patience, 50*time.Millisecond)
	require.Contains(t, o.String(), "a certificate is here")
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve runs a broker that gets its certificates from an authority.
func serve(t *testing.T, a *authority, dir string, env ...string) *output {
	t.Helper()
	program, err := binary()
	require.NoError(t, err)
	out := new(output)
	cmd := exec.Command(program, "serve", "--data-dir", dir)
	cmd.Dir, cmd.Stderr = t.TempDir(), out
	cmd.Env = append(os.Environ(), append(env,
		"STOMPBOX_AUTH_JWT_SECRET=0123456789abcdef0123456789abcdef", "STOMPBOX_ACME_DOMAINS="+domain, "STOMPBOX_ACME_ACCEPT_TERMS=true",
		"STOMPBOX_ACME_EMAIL=ops@stomp.example", "STOMPBOX_ACME_DIRECTORY="+a.directory, "STOMPBOX_ACME_CA="+a.server)...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), out)
		if t.Failed() {
			t.Log(out)
		}
	})
	return out
}

// healthy asks over https, with a certificate that the authority has signed for the domain.
func healthy(t *testing.T, a *authority, port int, name string) *x509.Certificate {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: name, InsecureSkipVerify: name == ""}}
	client := &http.Client{Transport: transport, Timeout: patience}
	answer, err := client.Get("https://127.0.0.1:" + strconv.Itoa(port) + "/healthz")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return answer.TLS.PeerCertificates[0]
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// TestCertificatesByTLSALPN has the authority ask the listener of clients itself, and
// finds what it issued in the cache after a restart.
func TestCertificatesByTLSALPN(t *testing.T) {
	port := freePort(t)
	a := newAuthority(t, freePort(t), port)
	dir := t.TempDir()
	var first *x509.Certificate
	t.Run("issued", func(t *testing.T) {
		out := serve(t, a, dir, "STOMPBOX_HTTP_LISTEN="+address(port))
		out.issued(t)
		first = healthy(t, a, port, domain)
		require.Equal(t, []string{domain}, first.DNSNames)
		require.Equal(t, first.SerialNumber, healthy(t, a, port, "").SerialNumber, "for a client that names no domain")
		_, err := tls.Dial("tcp", address(port), &tls.Config{RootCAs: a.roots, ServerName: "other.example"})
		require.Error(t, err)
	})
	t.Run("kept", func(t *testing.T) {
		serve(t, a, dir, "STOMPBOX_HTTP_LISTEN="+address(port))
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", address(port))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		}, patience, 50*time.Millisecond)
		require.Equal(t, first.SerialNumber, healthy(t, a, port, domain).SerialNumber)
	})
}

// TestCertificatesByHTTP has the authority ask the port for it, which sends all else to
// https; a listener of STOMP shows the certificate too.
func TestCertificatesByHTTP(t *testing.T) {
	httpPort, port, stompPort := freePort(t), freePort(t), freePort(t)
	a := newAuthority(t, httpPort, freePort(t)) // TLS-ALPN-01 fails at another port
	out := serve(t, a, t.TempDir(), "STOMPBOX_HTTP_LISTEN="+address(port), "STOMPBOX_STOMP_LISTEN="+address(stompPort),
		"STOMPBOX_ACME_HTTP_LISTEN="+address(httpPort), "STOMPBOX_ACME_LISTENERS=http,stomp")
	out.issued(t)
	healthy(t, a, port, domain)
	c, err := tls.Dial("tcp", address(stompPort), &tls.Config{RootCAs: a.roots, ServerName: domain})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequest(http.MethodGet, "http://"+address(httpPort)+"/ws", nil)
	require.NoError(t, err)
	request.Host = domain
	answer, err := client.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, "https://"+domain+"/ws", answer.Header.Get("Location"))
}
