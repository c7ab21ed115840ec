package config

import (
	"crypto/x509"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stompbox/stompbox/gateway"
)

// ACME has certificates issued and renewed by a certificate authority (RFC 8555).
type ACME struct {
	Domains     []string `mapstructure:"domains"`
	Email       string   `mapstructure:"email"`
	AcceptTerms bool     `mapstructure:"accept_terms"`
	Directory   string   `mapstructure:"directory"`
	CA          string   `mapstructure:"ca"`
	CacheDir    string   `mapstructure:"cache_dir"`
	HTTPListen  string   `mapstructure:"http_listen"`
	Listeners   []string `mapstructure:"listeners"`
}

// On reports whether certificates are issued.
func (a ACME) On() bool { return len(a.Domains) > 0 }

// For reports whether a listener shows them.
func (a ACME) For(listener string) bool { return a.On() && slices.Contains(a.Listeners, listener) }

// LoadCA returns who is trusted to be the authority's server, or nil for the system's.
func (a ACME) LoadCA() (*x509.CertPool, error) {
	if a.CA == "" {
		return nil, nil
	}
	return certPool("acme.ca", a.CA)
}

// acmeListeners can show certificates of ACME.
var acmeListeners = []string{"http", "stomp", "admin"}

func checkACME(c *Config, problem func(string, ...any)) {
	a := c.ACME
	if !a.On() {
		if a.HTTPListen != "" {
			problem("acme.http_listen needs acme.domains; leave it out without ACME")
		}
		return
	}
	if !a.AcceptTerms {
		problem("acme.accept_terms: read the terms of the authority at %s, and set it to true", a.Directory)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		problem("acme.directory %q is not an https URL", a.Directory)
	}
	for _, domain := range a.Domains {
		if net.ParseIP(domain) != nil {
			problem("acme.domains: %q is an address; an authority gives certificates for domains, such as stomp.example", domain)
		} else if !isDomain(domain) || gateway.IsLoopback(domain) {
			problem("acme.domains: %q is not a domain such as stomp.example; wildcards and addresses get no certificate this way", domain)
		}
	}
	if at, err := mail.ParseAddress(a.Email); a.Email != "" && (err != nil || at.Address != a.Email) {
		problem("acme.email %q is not the address of a mailbox, such as admin@stomp.example", a.Email)
	}
	if len(a.Listeners) == 0 {
		problem("acme.listeners is empty; use %s", strings.Join(acmeListeners, ", "))
	}
	for _, listener := range a.Listeners {
		t, known := map[string]TLS{"http": c.HTTP.TLS, "stomp": c.STOMP.TLS, "admin": c.Admin.TLS}[listener]
		switch {
		case !known:
			problem("acme.listeners: there is no %q; use %s", listener, strings.Join(acmeListeners, ", "))
		case t.Cert != "":
			problem("acme.listeners has %s, and %s.tls.cert is set; leave out one of them", listener, listener)
		}
	}
	if !a.For("http") && a.HTTPListen == "" {
		problem("acme needs a way for the authority to see that a domain is this broker's: the listener http on port 443, or acme.http_listen on port 80")
	}
}

// domainLabel matches a part of a domain (RFC 1123, 2.1), which may have letters of all scripts.
var domainLabel = regexp.MustCompile(`^[\pL\pM\pN]([-\pL\pM\pN]*[\pL\pM\pN])?$`)

// isDomain reports whether a text is the name of a host.
func isDomain(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if len(label) > 63 || !domainLabel.MatchString(label) {
			return false
		}
	}
	return len(text) <= 253
}
