package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// TestFailedHandshakesSayWhoAndWhy on all listeners with TLS, and where TLS comes to one without.
func TestFailedHandshakesSayWhoAndWhy(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "ca of others")
	ca.issue("server")
	metrics := test.Address(t)
	revoked, forged := ca.issue("revoked"), stranger.issue("forged")
	wrongUse := ca.issueFor("wrong-use", x509.ExtKeyUsageServerAuth)
	ca.revoke(time.Hour, revoked)
	files := "{ cert: " + ca.file("server.pem") + ", key: " + ca.file("server.key") + " }"
	r := serveReloadable(t, testSecret+`
http: { tls: `+files+` }
metrics: { listen: `+metrics+` }
stomp:
  tls: `+files+`
  client_tls: { ca: `+ca.file("ca.pem")+`, crl: `+ca.file("crl.pem")+`, required: true }
`)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	// fails begins a handshake, and returns the address that it came from.
	fails := func(address string, config *tls.Config, shown ...tls.Certificate) string {
		nc, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer func() { _ = nc.Close() }()
		require.NoError(t, nc.SetDeadline(time.Now().Add(test.Patience)))
		if len(shown) > 0 {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
		}
		c := tls.Client(nc, config)
		if err = c.Handshake(); err == nil { // TLS 1.3 says it later
			_, err = io.ReadAll(c)
		}
		require.Error(t, err)
		return nc.LocalAddr().String()
	}
	sends := func(address, text string) string {
		nc, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer func() { _ = nc.Close() }()
		require.NoError(t, nc.SetDeadline(time.Now().Add(test.Patience)))
		_, err = io.WriteString(nc, text)
		require.NoError(t, err)
		_, _ = io.ReadAll(nc)
		return nc.LocalAddr().String()
	}
	trusting := func() *tls.Config { return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"} }
	old := trusting()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	older := old.Clone()
	for _, tt := range []struct{ listener, remote, reason, more string }{
		{"stomp", fails(r.tcp, trusting()), "no-certificate", ""},
		{"stomp", fails(r.tcp, trusting(), forged), "certificate-refused", `subject="CN=forged"`},
		{"stomp", fails(r.tcp, trusting(), wrongUse), "certificate-refused", `subject="CN=wrong-use"`},
		{"stomp", fails(r.tcp, trusting(), revoked), "certificate-revoked", `subject="CN=revoked"`},
		{"stomp", fails(r.tcp, old), "no-common-version", ""},
		{"stomp", fails(r.tcp, &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()}), "refused-by-client", ""},
		{"stomp", sends(r.tcp, "CONNECT\naccept-version:1.2\nhost:h\n\n\x00"), "not-tls", ""},
		{"http", sends(r.http, "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"), "not-tls", ""},
		{"http", fails(r.http, older), "no-common-version", ""},
		{"metrics", fails(metrics, trusting()), "tls-to-plain-port", ""},
	} {
		line := `level=INFO msg="a TLS handshake failed" listener=` + tt.listener + " remote=" + tt.remote + " reason=" + tt.reason + " "
		require.Eventually(t, func() bool { return strings.Contains(r.stderr.String(), line) }, test.Patience, 5*time.Millisecond, "%s%s", line, r.stderr.String())
		require.Contains(t, r.stderr.String(), line+tt.more)
	}
	scraped := func() string { _, text := get(t, "http://"+metrics+"/metrics"); return text }
	for series, n := range map[string]string{
		`{listener="stomp",reason="no-certificate"}`: "1", `{listener="stomp",reason="certificate-refused"}`: "2",
		`{listener="stomp",reason="certificate-revoked"}`: "1", `{listener="stomp",reason="not-tls"}`: "1",
		`{listener="http",reason="not-tls"}`: "1", `{listener="metrics",reason="tls-to-plain-port"}`: "1",
	} {
		require.Contains(t, scraped(), "stompbox_tls_handshakes_failed_total"+series+" "+n+"\n")
	}
	require.NotContains(t, r.stderr.String(), "level=WARN")

	// Who only looks whether the port is open has no line.
	before := strings.Count(r.stderr.String(), "a TLS handshake failed")
	nc, err := net.Dial("tcp", r.tcp)
	require.NoError(t, err)
	require.NoError(t, nc.Close())
	require.Eventually(t, func() bool {
		return strings.Contains(scraped(), `stompbox_tls_handshakes_failed_total{listener="stomp",reason="ended"} 2`) // one is of serve
	}, test.Patience, 5*time.Millisecond)
	require.Equal(t, before, strings.Count(r.stderr.String(), "a TLS handshake failed"))
	r.stop(t)
}

// TestAProxyWithoutAHeaderIsNamed by a warning and a metric, with TLS and without.
func TestAProxyWithoutAHeaderIsNamed(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	ca.issue("server")
	metrics := test.Address(t)
	r := serveReloadable(t, testSecret+`
metrics: { listen: `+metrics+` }
http: { proxy_protocol: true, trusted_proxies: [127.0.0.1] }
stomp:
  tls: { cert: `+ca.file("server.pem")+`, key: `+ca.file("server.key")+` }
  proxy_protocol: true
  trusted_proxies: [127.0.0.1]
`)
	for _, tt := range []struct{ listener, address, sent, reason string }{
		{"http", r.http, "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n", "missing"},
		{"http", r.http, "PROXY TCP4 x y 1 2\r\n", "malformed"},
		{"stomp", r.tcp, "CONNECT\naccept-version:1.2\nhost:h\n\n\x00", "missing"},
		{"stomp", r.tcp, "PROXY TCP4 x y 1 2\r\n", "malformed"},
	} {
		nc, err := net.Dial("tcp", tt.address)
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(test.Patience)))
		_, err = io.WriteString(nc, tt.sent)
		require.NoError(t, err)
		_, _ = io.ReadAll(nc)
		remote := nc.LocalAddr().String()
		_ = nc.Close()
		line := tt.listener + `.trusted_proxies" listener=` + tt.listener + " remote=" + remote + " reason=" + tt.reason + " "
		require.Eventually(t, func() bool { return strings.Contains(r.stderr.String(), line) }, test.Patience, 5*time.Millisecond, "%s%s", line, r.stderr.String())
		require.Equal(t, 1, strings.Count(r.stderr.String(), "remote="+remote), r.stderr.String())
		_, scraped := get(t, "http://"+metrics+"/metrics")
		require.Contains(t, scraped, `stompbox_proxy_headers_refused_total{listener="`+tt.listener+`",reason="`+tt.reason+`"} 1`)
	}
	// What is no client of TCP keeps the proxy's address.
	nc, err := net.Dial("tcp", r.http)
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	require.NoError(t, nc.SetDeadline(time.Now().Add(test.Patience)))
	_, err = io.WriteString(nc, "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8"+strings.Repeat("/", 216)+"GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Contains(t, string(answer), "200 OK")
	r.stop(t)
}

// TestAnAddressWithTooManyConnectionsIsNamed over HTTP, where no session begins.
func TestAnAddressWithTooManyConnectionsIsNamed(t *testing.T) {
	t.Parallel()
	r := serveReloadable(t, testSecret+"limits: { address_connections: 1 }\n")
	var last net.Conn
	for range 2 { // the first one waits for its next request
		nc, err := net.Dial("tcp", r.http)
		require.NoError(t, err)
		defer func() { _ = nc.Close() }()
		require.NoError(t, nc.SetDeadline(time.Now().Add(test.Patience)))
		_, err = io.WriteString(nc, "GET /api/users HTTP/1.1\r\nHost: h\r\n\r\n")
		require.NoError(t, err)
		_, err = nc.Read(make([]byte, 1))
		require.NoError(t, err)
		last = nc
	}
	r.says(t, `level=INFO msg="a connection was refused" limit=address_connections user="" remote=`+last.LocalAddr().String()+" transport=http")
	r.stop(t)
}
