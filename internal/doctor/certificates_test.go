package doctor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of this test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte("CA"),
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key, writePEM(t, "CERTIFICATE", der)}
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// sign returns the files of a certificate, whose template change may change.
func (a *authority) sign(t *testing.T, change func(*x509.Certificate)) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"broker.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", keyDER)
}

func TestCertificatesOfListeners(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	good, goodKey := ca.sign(t, nil)
	check := func(cert, key string) []Result {
		return checkCertificates(t.Context(), examine(t, "http: { tls: { cert: "+cert+", key: "+key+" } }\n"))
	}
	// A CA of one's own is not known to this machine.
	requireResult(t, check(good, goodKey), "http.tls", Warning, "no CA that this machine trusts")
	_, otherKey := ca.sign(t, nil)
	requireResult(t, check(good, otherKey), "http.tls", Failure, "private key does not match")
	requireResult(t, check(goodKey, goodKey), "http.tls", Failure, "")
	for says, tt := range map[string]struct {
		change func(*x509.Certificate)
		status Status
	}{
		"ended on":  {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, Failure},
		"begins on": {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, Failure},
		"ends in 3 days": {func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-60*24*time.Hour), time.Now().Add(73*time.Hour)
		}, Warning},
		// One that lives for a week and has half of it left; the CA is the warning.
		"no CA that this machine trusts": {func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-84*time.Hour), time.Now().Add(84*time.Hour)
		}, Warning},
		"names no host": {func(c *x509.Certificate) { c.DNSNames = nil }, Failure},
	} {
		cert, key := ca.sign(t, tt.change)
		requireResult(t, check(cert, key), "http.tls", tt.status, says)
	}
}

func TestCertificatesOfNodesAreForBothSides(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	check := func(cert, key, caFile string) []Result {
		return checkCertificates(t.Context(), examine(t, "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['127.0.0.1:6223'], tls: { cert: "+cert+", key: "+key+", ca: "+caFile+" } }\n"))
	}
	cert, key := ca.sign(t, nil)
	requireResult(t, check(cert, key, ca.file), "cluster.tls", OK, "is for broker.example, until "+time.Now().Add(90*24*time.Hour).UTC().Format(time.DateOnly))
	requireResult(t, check(cert, key, newAuthority(t).file), "cluster.tls", Failure, "signed by unknown authority")
	requireResult(t, check(cert, key, key), "cluster.tls", Failure, "holds no certificate")
	cert, key = ca.sign(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	requireResult(t, check(cert, key, ca.file), "cluster.tls", Failure, "incompatible key usage")
}

// TestRevocationListsOfClients: one that has ended refuses all certificates of its authority.
func TestRevocationListsOfClients(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.sign(t, nil)
	check := func(crl string) []Result {
		return checkCertificates(t.Context(), examine(t, "stomp: { listen: '127.0.0.1:1', tls: { cert: "+cert+", key: "+key+" }, client_tls: { ca: "+ca.file+", crl: "+crl+" } }\n"))
	}
	list := func(since, left time.Duration) string {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-since), NextUpdate: time.Now().Add(left),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(2), RevocationTime: time.Now()}},
		}, ca.certificate, ca.key)
		require.NoError(t, err)
		return writePEM(t, "X509 CRL", der)
	}
	requireResult(t, check(list(time.Hour, 24*time.Hour)), "stomp.client_tls", OK, "1 revocation lists, with 1 certificates")
	requireResult(t, check(list(24*time.Hour, time.Hour)), "stomp.client_tls", Warning, "the revocation list of CN=CA of this test ends on")
	requireResult(t, check(list(24*time.Hour, -time.Hour)), "stomp.client_tls", Failure, "so all certificates of that authority are refused")
	requireResult(t, check(key), "stomp.client_tls", Failure, "it is no revocation list")
}
