package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// authority signs certificates for a test.
type authority struct {
	t      *testing.T
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	a := &authority{t: t, dir: t.TempDir(), cert: cert, key: key, serial: 1}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// issue makes a certificate of a name, for this address too, and writes it and its key.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	return a.issueFor(name, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)
}

func (a *authority) issueFor(name string, usages ...x509.ExtKeyUsage) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: usages,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", keyDER)
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	require.NoError(a.t, err)
	return pair
}

// revoke writes a list with these certificates, which is to be replaced in so long.
func (a *authority) revoke(next time.Duration, revoked ...tls.Certificate) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(next)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	require.NoError(a.t, err)
	a.write("crl.pem", "X509 CRL", der)
}

// tlsClient is a client of STOMP over TLS that shows certificates.
type tlsClient struct {
	t    *testing.T
	conn *tls.Conn
	*frames.Reader
}

func dialTLS(t *testing.T, address string, ca *authority, shown ...tls.Certificate) *tlsClient {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	config := &tls.Config{RootCAs: pool}
	if len(shown) > 0 { // also where the server asks for one of another authority
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
	}
	c, err := tls.Dial("tcp", address, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(test.Patience)))
	return &tlsClient{t, c, frames.NewReader(c, &frames.Limits{})}
}

func (c *tlsClient) send(command string, headers ...string) {
	c.t.Helper()
	_, err := c.conn.Write(frames.Append(nil, frames.New(command, headers...), frames.V12))
	require.NoError(c.t, err)
}

func (c *tlsClient) expect(command, says string) {
	c.t.Helper()
	f := new(frames.Frame)
	require.NoError(c.t, c.Read(f))
	require.Equal(c.t, command, f.Command, "%v %s", f.Headers, f.Body)
	require.Contains(c.t, f.Get("message")+f.Get("user-name")+f.Get("receipt-id"), says)
}

// refused wants the connection to end without a frame: the handshake failed.
func (c *tlsClient) refused(says string) {
	c.t.Helper()
	require.ErrorContains(c.t, c.Read(new(frames.Frame)), says)
}

// TestCertificatesOfClientsAreLogins: the name in a certificate is the login, with its
// role; one that is revoked lets no client in, and ends the session that it began.
func TestCertificatesOfClientsAreLogins(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "ca of others")
	ca.issue("server")
	spring, other, both := ca.issue("spring"), ca.issue("other"), ca.issue("both")
	ca.revoke(time.Hour)
	text := `
auth:
  jwt: { secret: 0123456789abcdef0123456789abcdef }
  logins:
    - { login: spring, certificate: true, role: backend }
    - { login: both, certificate: true, passcode_hash: '` + hashOf(t, "a passcode of both") + `' }
  roles: { backend: { send: ["/topic/**"] } }
stomp:
  tls: { cert: ` + ca.file("server.pem") + `, key: ` + ca.file("server.key") + ` }
  client_tls: { ca: ` + ca.file("ca.pem") + `, crl: ` + ca.file("crl.pem") + ` }
`
	r := serveReloadable(t, text)
	connect := func(c *tlsClient, headers ...string) *tlsClient {
		c.t.Helper()
		c.send(frames.CONNECT, append([]string{"accept-version", "1.2", "host", "h"}, headers...)...)
		return c
	}
	session := connect(dialTLS(t, r.tcp, ca, spring))
	session.expect(frames.CONNECTED, "spring")
	session.send(frames.SEND, "destination", "/topic/a", "receipt", "r1")
	session.expect(frames.RECEIPT, "r1")
	// Spring's relay cannot leave the passcode out.
	connect(dialTLS(t, r.tcp, ca, spring), "login", "spring", "passcode", "guest").expect(frames.CONNECTED, "spring")
	kept := connect(dialTLS(t, r.tcp, ca, both), "login", "both")
	kept.expect(frames.CONNECTED, "both")
	connect(dialTLS(t, r.tcp, ca), "login", "both", "passcode", "a passcode of both").expect(frames.CONNECTED, "both")

	connect(dialTLS(t, r.tcp, ca, other)).expect(frames.ERROR, "authentication failed")
	connect(dialTLS(t, r.tcp, ca, other), "login", "spring").expect(frames.ERROR, "authentication failed")
	connect(dialTLS(t, r.tcp, ca, other), "login", "spring", "passcode", "").expect(frames.ERROR, "authentication failed")
	connect(dialTLS(t, r.tcp, ca), "login", "spring", "passcode", "x").expect(frames.ERROR, "authentication failed")
	connect(dialTLS(t, r.tcp, ca)).expect(frames.ERROR, "authentication failed")
	forged := dialTLS(t, r.tcp, ca, stranger.issue("spring"))
	forged.refused("certificate")

	// Revoked: the session ends with the reload, and a handshake fails.
	ca.revoke(time.Hour, spring)
	require.Equal(t, 2, r.reload(text).Ended, "both of spring")
	session.expect(frames.ERROR, "your credentials are not accepted any more")
	dialTLS(t, r.tcp, ca, spring).refused("bad certificate")
	kept.send(frames.SEND, "destination", "/topic/b", "receipt", "r2")
	kept.expect(frames.ERROR, "no send permission")
	connect(dialTLS(t, r.tcp, ca, both)).expect(frames.CONNECTED, "both")

	// A list that is too old says nothing, so that no client is let in by a certificate.
	ca.revoke(-time.Minute)
	r.reload(text)
	dialTLS(t, r.tcp, ca, both).refused("bad certificate")
	require.NoError(t, os.WriteFile(ca.file("crl.pem"), []byte("no list"), 0o600))
	r.hangUp(text, "the configuration was not reloaded")
	r.says(t, "it is no revocation list")
	r.stop(t)
}

// TestCertificatesCanBeRequired: without one there is no handshake.
func TestCertificatesCanBeRequired(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	ca.issue("server")
	shown := ca.issue("spring")
	r := serveReloadable(t, testSecret+`
stomp:
  tls: { cert: `+ca.file("server.pem")+`, key: `+ca.file("server.key")+` }
  client_tls: { ca: `+ca.file("ca.pem")+`, required: true, name: cn }
`)
	c := dialTLS(t, r.tcp, ca)
	_, err := io.ReadAll(c.conn)
	require.ErrorContains(t, err, "certificate required")
	token, stderr, err := run(t, nil, "token", "--user", "alice", "-c", r.file)
	require.NoError(t, err, stderr)
	c = dialTLS(t, r.tcp, ca, shown)
	c.send(frames.CONNECT, "accept-version", "1.2", "host", "h", "passcode", token[:len(token)-1])
	c.expect(frames.CONNECTED, "alice")
	r.stop(t)
}
