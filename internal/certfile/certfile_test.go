package certfile_test

import (
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

// issue writes a certificate for a name, and its key.
func issue(t *testing.T, name, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
}

func TestACertificateIsUntimely(t *testing.T) {
	t.Parallel()
	begins, ends := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: begins, NotAfter: ends}
	require.Empty(t, certfile.Untimely(leaf, begins))
	require.Empty(t, certfile.Untimely(leaf, ends))
	require.Contains(t, certfile.Untimely(leaf, begins.Add(-time.Second)), "begins on 2030-01-01T00:00:00Z")
	require.Contains(t, certfile.Untimely(leaf, ends.Add(time.Second)), "ended on 2031-01-01T00:00:00Z")
}

func TestAPairFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	var log local.Log
	logger := slog.New(slog.NewTextHandler(&log, nil))
	issue(t, "first", cert, key)
	p, err := certfile.New("http.tls", cert, key)
	require.NoError(t, err)
	shown := func() string {
		c, err := p.GetCertificate(nil)
		require.NoError(t, err)
		client, err := p.GetClientCertificate(nil)
		require.NoError(t, err)
		require.Same(t, c, client)
		return c.Leaf.Subject.CommonName
	}
	require.Equal(t, "first", shown())
	p.Check(logger)
	require.Empty(t, log.String())

	// A renewal that is half done: the certificate is new, and its key is not.
	other, otherKey := filepath.Join(dir, "other"), filepath.Join(dir, "other.key")
	issue(t, "second", other, otherKey)
	require.NoError(t, os.Rename(other, cert))
	p.Check(logger)
	p.Check(logger)
	require.Equal(t, "first", shown())
	require.Equal(t, 1, strings.Count(log.String(), "is not used"), "said once")
	require.NoError(t, os.Rename(otherKey, key))
	p.Check(logger)
	require.Equal(t, "second", shown())
	require.Contains(t, log.String(), "a certificate was replaced")
	require.Contains(t, log.String(), "CN=second")

	require.NoError(t, os.Remove(cert))
	p.Check(logger)
	p.Check(logger)
	require.Equal(t, "second", shown())
	require.Equal(t, 2, strings.Count(log.String(), "is not used"))
	_, err = certfile.Load("http.tls", cert, key)
	require.ErrorContains(t, err, "http.tls: open "+cert)

	issue(t, "third", cert, key)
	loaded, err := certfile.Load("http.tls", cert, key)
	require.NoError(t, err)
	require.Equal(t, "second", shown())
	p.Use(loaded)
	require.Equal(t, "third", shown())
}
