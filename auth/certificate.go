package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Certificate is a verified client certificate of a TLS connection. It is not revoked.
type Certificate struct {
	// Name is the login, or "" if the certificate names none.
	Name string
	// Chain has the certificate, then its issuer, and so on.
	Chain []*x509.Certificate
}

// MethodCertificate is the Method of a principal that a client certificate authenticated.
const MethodCertificate = "certificate"

// CertificateName says which of the names in a certificate is the login.
type CertificateName string

// The names in a certificate.
const (
	NameCN    CertificateName = "cn"    // the subject's common name
	NameDNS   CertificateName = "dns"   // the first DNS name
	NameEmail CertificateName = "email" // the first e-mail address
	NameURI   CertificateName = "uri"   // the first URI, such as a SPIFFE ID
)

// CertificateNames are all of them.
var CertificateNames = []CertificateName{NameCN, NameDNS, NameEmail, NameURI}

// Of returns the name in a certificate, or "" if it has none of this kind.
func (n CertificateName) Of(c *x509.Certificate) string {
	switch {
	case n == NameCN:
		return c.Subject.CommonName
	case n == NameDNS && len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case n == NameEmail && len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	case n == NameURI && len(c.URIs) > 0:
		return c.URIs[0].String()
	}
	return ""
}

// CertificateChecker checks whether a chain, with the certificate first, is still valid: whether
// its issuer is trusted and no part of it is revoked.
type CertificateChecker interface {
	CheckChain(chain []*x509.Certificate) error
}

// byCertificate reports whether credentials are for the login that the certificate names.
// The passcode does not count then: Spring's relay cannot leave it out.
func (l *Logins) byCertificate(c Credentials) bool {
	if l == nil || c.Certificate == nil || c.Authorization != "" || looksLikeToken(c.Passcode) {
		return false
	}
	named := l.byName[c.Certificate.Name]
	return named != nil && named.certificate && (c.Login == "" || c.Login == c.Certificate.Name)
}

// ofCertificate returns the principal of the login that a certificate names.
func (l *Logins) ofCertificate(c *Certificate) *Principal {
	l.accepted.Add(1)
	p := *l.byName[c.Name].principal
	p.Method, p.Expires = MethodCertificate, expiryOf(c.Chain)
	p.shown = &shown{chain: slices.Clone(c.Chain)}
	return &p
}

// expiryOf is when the first certificate of a chain ends.
func expiryOf(chain []*x509.Certificate) (ends time.Time) {
	for i, c := range chain {
		if i == 0 || c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	return ends
}

func (a *Authenticator) renewCertificate(p *Principal) (*Principal, error) {
	if a.Logins == nil || a.Logins.byName[p.Name] == nil || !a.Logins.byName[p.Name].certificate {
		return nil, refuse(fmt.Errorf("login %q is not configured any more for its certificate", p.Name))
	}
	if a.Certificates == nil {
		return nil, refuse(errors.New("certificates are not taken any more"))
	}
	if err := a.Certificates.CheckChain(p.shown.chain); err != nil {
		return nil, refuse(err)
	}
	renewed := *a.Logins.byName[p.Name].principal
	renewed.Method, renewed.Expires, renewed.shown = p.Method, p.Expires, p.shown
	return &renewed, nil
}
