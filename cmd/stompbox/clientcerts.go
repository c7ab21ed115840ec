package main

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/stompbox/stompbox/internal/certfile"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/logattr"
)

// newClientCAs returns who signs the certificates of clients, or nil where none are accepted.
func newClientCAs(c *config.Config) (*certfile.Authorities, error) {
	if c.STOMP.ClientTLS.CA == "" {
		return nil, nil
	}
	return certfile.NewAuthorities("stomp.client_tls", c.STOMP.ClientTLS.CA, c.STOMP.ClientTLS.CRL)
}

// clientCertificates are those that clients show over TCP.
type clientCertificates struct{ *server }

// askForCertificates has a listener ask clients for certificates, and refuse those that are
// revoked. A handshake is always a whole one, so that each is looked at.
func (s clientCertificates) askForCertificates(t *tls.Config) {
	t.SessionTicketsDisabled = true
	t.ClientAuth = tls.VerifyClientCertIfGiven
	if s.config().STOMP.ClientTLS.Required {
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	t.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.VerifiedChains) == 0 {
			return nil
		}
		if err := s.clientCAs.CheckChain(state.VerifiedChains[0]); err != nil {
			return &refusedCertificate{logattr.Short(state.PeerCertificates[0].Subject.String()), err}
		}
		return nil
	}
	base := t.Clone()
	t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := base.Clone()
		current.ClientCAs = s.clientCAs.Pool()
		return current, nil
	}
}

// useClientCAs has an authenticator check certificates of sessions again.
func (s clientCertificates) useClientCAs(parts authParts) {
	if s.clientCAs != nil {
		parts.authenticator.Certificates = s.clientCAs
	}
}

// loadClientCAs reads the files again, and returns what puts them in use.
func (s clientCertificates) loadClientCAs(c *config.Config) (use func(), err error) {
	if s.clientCAs == nil {
		return func() {}, nil
	}
	loaded, err := certfile.LoadAuthorities("stomp.client_tls", c.STOMP.ClientTLS.CA, c.STOMP.ClientTLS.CRL)
	return func() { s.clientCAs.Use(loaded) }, err
}

// watchClientCAs follows the files of client certificates until ctx is done: sessions whose
// certificate does not count any more end.
func (s clientCertificates) watchClientCAs(ctx context.Context) {
	if s.clientCAs == nil {
		return
	}
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.clientCAs.Check(s.log) {
				s.reloads.mu.Lock()
				s.broker.Reauthorize(s.parts.authenticator.Renew)
				s.reloads.mu.Unlock()
			}
		}
	}
}
