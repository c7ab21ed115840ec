package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/stompbox/stompbox/internal/config"
)

// issuer gets certificates from an ACME authority, and renews them.
type issuer struct {
	manager autocert.Manager
	domains []string
	log     *slog.Logger

	mu    sync.Mutex           // guards until
	until map[string]time.Time // when the certificates of domains end
}

// newIssuer returns nil where the configuration has no domains.
func newIssuer(c *config.Config, log *slog.Logger) (*issuer, error) {
	a := c.ACME
	if !a.On() {
		return nil, nil
	}
	pool, err := a.LoadCA()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return &issuer{domains: a.Domains, log: log, manager: autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: a.Email, HostPolicy: autocert.HostWhitelist(a.Domains...), Cache: autocert.DirCache(c.ACMECache()),
		Client: &acme.Client{
			DirectoryURL: a.Directory, UserAgent: "stompbox/" + version(),
			HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute},
		},
	}}, nil
}

// GetCertificate is for the [tls.Config] of a listener. A client that names no domain, as
// one that connects to an address does, gets the certificate of the first one.
func (i *issuer) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = i.domains[0]
		hello = &named
	}
	certificate, err := i.manager.GetCertificate(hello)
	if err == nil && !slices.Contains(hello.SupportedProtos, acme.ALPNProto) {
		i.note(hello.ServerName, certificate)
	}
	return certificate, err
}

// note keeps when the certificate of a domain ends, however a client spells the domain.
func (i *issuer) note(domain string, certificate *tls.Certificate) {
	at := slices.IndexFunc(i.domains, func(d string) bool { return strings.EqualFold(d, strings.TrimSuffix(domain, ".")) })
	if at < 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.until == nil {
		i.until = make(map[string]time.Time)
	}
	i.until[i.domains[at]] = certificate.Leaf.NotAfter
}

// ends says when each certificate ends that was issued or in the cache.
func (i *issuer) ends() map[string]time.Time {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.until)
}

// nextProtos adds the protocol of the challenge TLS-ALPN-01 (RFC 8737).
func (i *issuer) nextProtos(protocols []string) []string { return append(protocols, acme.ALPNProto) }

// retryIssue is after how long a certificate that could not be had is asked for again. The
// authority counts failures.
const retryIssue = 5 * time.Minute

// begin asks for the certificates that are not in the cache, so that the first client does
// not wait for them. They are renewed when they have less than a third of their time left.
func (i *issuer) begin(ctx context.Context) {
	if i == nil {
		return
	}
	for _, domain := range i.domains {
		go func() { // which is not waited for: an authority may take minutes
			for ctx.Err() == nil {
				if i.get(domain) {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(retryIssue):
				}
			}
		}()
	}
}

func (i *issuer) get(domain string) bool {
	hello := &tls.ClientHelloInfo{
		ServerName: domain, SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256},
	}
	certificate, err := i.manager.GetCertificate(hello)
	if err != nil {
		i.log.Warn("a certificate could not be had; it is tried again", "domain", domain, "error", err, "after", retryIssue.String())
		return false
	}
	i.note(domain, certificate)
	i.log.Info("a certificate is here", "domain", domain, "issuer", certificate.Leaf.Issuer.String(), "not_after", certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return true
}

// handler answers the challenge HTTP-01, and sends everyone else to https.
func (i *issuer) handler() http.Handler {
	next := i.manager.HTTPHandler(nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host // of another port than 80, which the policy of hosts does not know
		}
		next.ServeHTTP(w, r)
	})
}
