package certfile

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Authorities sign the certificates of clients, and revoke them. They follow their files.
// They are safe for concurrent use.
type Authorities struct {
	name    string // of the setting
	current atomic.Pointer[LoadedAuthorities]

	mu     sync.Mutex // guards the following
	failed [sha256.Size]byte
}

// LoadedAuthorities were read, and are not in use yet.
type LoadedAuthorities struct {
	ca, crl string // files
	content [sha256.Size]byte
	pool    *x509.CertPool
	lists   []*x509.RevocationList
	revoked map[string]bool // issuer and serial number
}

// LoadAuthorities reads a PEM file of certificates, and one of revocation lists, PEM or
// DER, or "". Each list has to be signed by one of the certificates.
func LoadAuthorities(name, ca, crl string) (*LoadedAuthorities, error) {
	l, err := readAuthorities(ca, crl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// NewAuthorities is LoadAuthorities, in use.
func NewAuthorities(name, ca, crl string) (*Authorities, error) {
	l, err := LoadAuthorities(name, ca, crl)
	if err != nil {
		return nil, err
	}
	a := &Authorities{name: name}
	a.Use(l)
	return a, nil
}

// Use has what was loaded count from now on.
func (a *Authorities) Use(l *LoadedAuthorities) { a.current.Store(l) }

// Lists are the revocation lists.
func (l *LoadedAuthorities) Lists() []*x509.RevocationList { return l.lists }

// Pool is for the ClientCAs of a [tls.Config].
func (a *Authorities) Pool() *x509.CertPool { return a.current.Load().pool }

// ErrRevoked is wrapped by what CheckChain returns for a certificate that is revoked.
var ErrRevoked = errors.New("is revoked")

// CheckChain refuses a chain of which one certificate is revoked, or whose revocation list
// is too old to say so, or that the authorities of now have not signed.
func (a *Authorities) CheckChain(chain []*x509.Certificate) error {
	l := a.current.Load()
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	o := x509.VerifyOptions{Roots: l.pool, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := chain[0].Verify(o); err != nil {
		return err
	}
	for _, list := range l.lists {
		if list.NextUpdate.IsZero() || time.Now().Before(list.NextUpdate) {
			continue
		}
		if slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, list.RawIssuer) }) {
			return fmt.Errorf("the revocation list of %s was to be replaced at %s, so it does not say who is revoked now", list.Issuer, list.NextUpdate.UTC().Format(time.RFC3339))
		}
	}
	for _, c := range chain {
		if l.revoked[serialOf(c.RawIssuer, c.SerialNumber.Bytes())] {
			return fmt.Errorf("the certificate %s of %s %w", c.SerialNumber, c.Subject, ErrRevoked)
		}
	}
	return nil
}

// Check reads the files, and reports whether something new counts.
func (a *Authorities) Check(log *slog.Logger) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.current.Load()
	fresh, err := readAuthorities(now.ca, now.crl)
	switch {
	case err != nil && fresh.content != a.failed:
		a.failed = fresh.content
		log.Warn("changed files of client certificates are not used; what they said before stays", "setting", a.name, "error", err)
	case err == nil && fresh.content != now.content:
		a.failed = [sha256.Size]byte{}
		a.current.Store(fresh)
		log.Info("the files of client certificates were read again", "setting", a.name, "revoked", len(fresh.revoked))
		return true
	}
	return false
}

func serialOf(issuer, serial []byte) string { return string(issuer) + "\x00" + string(serial) }

// readAuthorities returns what the files hold; with an error only their hash.
func readAuthorities(ca, crl string) (*LoadedAuthorities, error) {
	l := &LoadedAuthorities{ca: ca, crl: crl, pool: x509.NewCertPool(), revoked: make(map[string]bool)}
	caText, err := os.ReadFile(ca)
	if err != nil {
		l.content = sha256.Sum256([]byte(err.Error()))
		return l, err
	}
	var crlText []byte
	if crl != "" {
		if crlText, err = os.ReadFile(crl); err != nil {
			l.content = sha256.Sum256([]byte(err.Error()))
			return l, err
		}
	}
	l.content = sha256.Sum256(bytes.Join([][]byte{caText, crlText}, []byte{0}))
	authorities, err := Certificates(caText)
	if err != nil {
		return l, fmt.Errorf("%s: %w", ca, err)
	}
	for _, authority := range authorities {
		l.pool.AddCert(authority)
	}
	if crl == "" {
		return l, nil
	}
	if err := l.addLists(crlText, authorities); err != nil {
		return l, fmt.Errorf("%s: %w", crl, err)
	}
	return l, nil
}

func (l *LoadedAuthorities) addLists(text []byte, authorities []*x509.Certificate) error {
	blocks, err := pemBlocks(text)
	if err != nil {
		return err
	}
	var ders [][]byte
	for _, block := range blocks {
		if block.Type == "X509 CRL" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		ders = [][]byte{text}
	}
	for _, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("it is no revocation list: %w", err)
		}
		if !signedByOne(list, authorities) {
			return fmt.Errorf("the list of %s is not signed by a certificate of the ca file", list.Issuer)
		}
		l.lists = append(l.lists, list)
		for _, entry := range list.RevokedCertificateEntries {
			l.revoked[serialOf(list.RawIssuer, entry.SerialNumber.Bytes())] = true
		}
	}
	return nil
}

func signedByOne(list *x509.RevocationList, authorities []*x509.Certificate) bool {
	for _, authority := range authorities {
		if bytes.Equal(authority.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(authority) == nil {
			return true
		}
	}
	return false
}
