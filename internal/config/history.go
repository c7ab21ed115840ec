package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/relay"
)

// HistorySettings are what the relay has to know of histories.
func (c *Config) HistorySettings() relay.HistorySettings {
	policies, _ := c.History.policies() // checked by Load
	return relay.HistorySettings{Policies: policies, Replicas: c.History.Replicas, DurableIdle: c.History.DurableIdle}
}

func (h History) policies() ([]driver.HistoryPolicy, error) {
	var all []driver.HistoryPolicy
	for i, p := range h.Policies {
		match, err := destination.ParsePattern(p.Match)
		if err != nil {
			return nil, fmt.Errorf("history.policies, entry %d: match %q: %w", i+1, p.Match, err)
		}
		all = append(all, driver.HistoryPolicy{Name: p.Name, Match: match, MaxMessages: p.MaxMessages, MaxBytes: p.MaxBytes, MaxAge: p.MaxAge})
	}
	if err := driver.CheckHistoryPolicies(all); err != nil {
		return nil, fmt.Errorf("history.policies: %w", err)
	}
	return all, nil
}

func (p Presence) patterns() ([]destination.Pattern, error) {
	var all []destination.Pattern
	for _, text := range p.Destinations {
		one, err := destination.ParsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("presence.destinations %q: %w", text, err)
		}
		all = append(all, one)
	}
	return all, nil
}

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

// Config returns what a connection to NATS needs, or nil for what the URL says.
func (n NATS) Config() (*tls.Config, error) {
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

// Config returns what routes between nodes are encrypted with, or nil. Each side
// has to show a certificate that the CA signed.
func (t PeerTLS) Config() (*tls.Config, error) {
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
