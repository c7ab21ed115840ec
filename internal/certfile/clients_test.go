package certfile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/certfile"
	"github.com/stompbox/stompbox/internal/test/local"
)

// authority signs certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
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
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// client returns the chain of a certificate with a serial number.
func (a *authority) client(t *testing.T, serial int64) []*x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return []*x509.Certificate{cert, a.cert}
}

// revoke returns a list of serial numbers.
func (a *authority) revoke(t *testing.T, serials ...int64) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// halves are ways in which the last block of a file is not whole: it is being written, or
// was damaged.
func halves(whole []byte) map[string][]byte {
	last := bytes.LastIndex(whole, []byte("-----BEGIN "))
	damaged := bytes.Clone(whole)
	copy(damaged[last+60:], "!!!!")
	return map[string][]byte{
		"no end": whole[:len(whole)-40], "half an end": whole[:len(whole)-10], "the first line alone": whole[:last+20],
		"half of the first line": whole[:last+8], "a letter that is none": damaged,
	}
}

// TestFilesThatAreNotWholeChangeNothing: the second of two lists and of two authorities is
// cut off or damaged. Who is revoked stays out, and who was let in stays.
func TestFilesThatAreNotWholeChangeNothing(t *testing.T) {
	t.Parallel()
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	lists := append(one.revoke(t, 7), two.revoke(t, 8)...)
	both := append(one.pem(), two.pem()...)
	ca, crl := filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "crl")
	write := func(file string, text []byte) { require.NoError(t, os.WriteFile(file, text, 0o600)) }
	write(ca, both)
	write(crl, lists)
	var log local.Log
	logger := slog.New(slog.NewTextHandler(&log, nil))
	a, err := certfile.NewAuthorities("stomp.client_tls", ca, crl)
	require.NoError(t, err)
	check := func() {
		t.Helper()
		_, err := certfile.LoadAuthorities("stomp.client_tls", ca, crl)
		require.ErrorContains(t, err, "is damaged or cut off")
		require.False(t, a.Check(logger))
		require.ErrorContains(t, a.CheckChain(one.client(t, 7)), "revoked")
		require.ErrorContains(t, a.CheckChain(two.client(t, 8)), "revoked")
		require.NoError(t, a.CheckChain(two.client(t, 9)))
	}
	for name, text := range halves(lists) {
		t.Log(name)
		write(crl, text)
		check()
	}
	write(crl, append(lists, "a note of the operator\n"...))
	require.True(t, a.Check(logger))
	for name, text := range halves(both) {
		t.Log(name)
		write(ca, text)
		check()
	}
	require.Equal(t, 10, strings.Count(log.String(), "are not used"))
	write(ca, both)
	write(crl, append(one.revoke(t), two.revoke(t, 9)...))
	require.True(t, a.Check(logger))
	require.NoError(t, a.CheckChain(one.client(t, 7)))
	require.ErrorContains(t, a.CheckChain(two.client(t, 9)), "revoked")
}

// TestAChainThatIsNotWholeIsNotShown: clients could not verify a certificate without the one
// behind it.
func TestAChainThatIsNotWholeIsNotShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	issue(t, "first", cert, key)
	leaf, err := os.ReadFile(cert)
	require.NoError(t, err)
	p, err := certfile.New("http.tls", cert, key)
	require.NoError(t, err)
	var log local.Log
	chain := append(leaf, newAuthority(t, "ca").pem()...)
	for name, text := range halves(chain) {
		t.Log(name)
		require.NoError(t, os.WriteFile(cert, text, 0o600))
		p.Check(slog.New(slog.NewTextHandler(&log, nil)))
		require.Len(t, p.Certificate().Certificate, 1)
	}
	require.Equal(t, 5, strings.Count(log.String(), "is damaged or cut off"))
	require.NoError(t, os.WriteFile(cert, chain, 0o600))
	p.Check(slog.New(slog.NewTextHandler(&log, nil)))
	require.Len(t, p.Certificate().Certificate, 2)
}
