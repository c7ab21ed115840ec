package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/stompbox/stompbox/internal/bench"
)

// benchTLS returns what a delivery over TLS costs, as the ratio to one without.
func benchTLS(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	_, plain, err := benchFanout(ctx, s, o)
	if err != nil {
		return "", 0, err
	}
	folder, err := bench.NewDir()
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = folder.Remove() }()
	cert, key := filepath.Join(folder.Path, "cert.pem"), filepath.Join(folder.Path, "key.pem")
	trust, err := writeCertificate(cert, key)
	if err != nil {
		return "", 0, err
	}
	file := filepath.Join(folder.Path, "stompbox.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "http: { tls: { cert: %q, key: %q } }\n", cert, key), 0o600); err != nil {
		return "", 0, err
	}
	own, err := s.another(ctx, "-c", file)
	if err != nil {
		return "", 0, err
	}
	defer own.stop()
	own.tls = trust
	_, encrypted, err := benchFanout(ctx, own, o)
	if err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("tls: %d subscribers, %d messages of %d B, %d in flight: %.2f server CPU s per million deliveries, without TLS %.2f: ratio %.2f; none lost, in order",
		o.connections, o.messages, o.size, o.inFlight, encrypted, plain, encrypted/plain), encrypted / plain, nil
}

// writeCertificate makes a certificate for loopback, and returns how clients trust it.
func writeCertificate(certFile, keyFile string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, text, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, nil
}
