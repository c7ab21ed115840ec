package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/certfile"
)

// certPool reads the certificates of those who sign others. The key is for errors.
func certPool(key, file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	pool, err := certfile.Pool(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", key, file, err)
	}
	return pool, nil
}

// Pair reads the certificate and its key, or returns nil where there is none. The key of
// the setting begins errors.
func (t TLS) Pair(key string) (*certfile.Pair, error) {
	if t.Cert == "" {
		return nil, nil
	}
	return certfile.New(key, t.Cert, t.Key)
}

// checkClientTLS says what of certificates of clients does not go together.
func checkClientTLS(c *Config, problem func(string, ...any)) {
	t := c.STOMP.ClientTLS
	byCertificate := slices.ContainsFunc(c.Auth.Logins, func(l Login) bool { return l.Certificate })
	switch {
	case t.CA == "" && (t.Required || t.CRL != ""):
		problem("stomp.client_tls needs ca: who signs the certificates of clients")
	case t.CA == "" && byCertificate:
		problem("auth.logins: a login with certificate: true needs stomp.client_tls.ca")
	case t.CA != "" && c.STOMP.TLS.Cert == "" && !c.ACME.For("stomp"):
		problem("stomp.client_tls needs stomp.tls, or stomp among acme.listeners")
	}
	if !slices.Contains(auth.CertificateNames, auth.CertificateName(t.Name)) {
		problem("stomp.client_tls.name %q is not cn, dns, email or uri", t.Name)
	}
}

// LoadTLS returns what a connection to NATS needs, or nil for what the URL says. The pair
// is that of nats.tls.
func (n NATS) LoadTLS(pair *certfile.Pair) (*tls.Config, error) {
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
		c.GetClientCertificate = pair.GetClientCertificate
	}
	return c, nil
}

// Load returns what routes between nodes are encrypted with, or nil. Each side
// has to show a certificate that the CA signed. The pair is that of cluster.tls.
func (t PeerTLS) Load(pair *certfile.Pair) (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	pool, err := certPool("cluster.tls.ca", t.CA)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: pair.GetCertificate, GetClientCertificate: pair.GetClientCertificate,
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
