package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// certPool reads the certificates of those who sign others. The key is for errors.
func certPool(key, file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no certificate", key, file)
	}
	return pool, nil
}

// LoadTLS returns what a connection to NATS needs, or nil for what the URL says.
func (n NATS) LoadTLS() (*tls.Config, error) {
	if n.CA == "" && n.TLS.Cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if n.CA != "" {
		if c.RootCAs, err = certPool("nats.ca", n.CA); err != nil {
			return nil, err
		}
	}
	if n.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(n.TLS.Cert, n.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("nats.tls: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Load returns what routes between nodes are encrypted with, or nil. Each side
// has to show a certificate that the CA signed.
func (t PeerTLS) Load() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster.tls: %w", err)
	}
	pool, err := certPool("cluster.tls.ca", t.CA)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
