// Package certfile holds certificates that are in PEM files, and reads them again when the
// files change, so that a renewal needs no restart.
package certfile

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Pair is a certificate with its key. It is safe for concurrent use.
type Pair struct {
	name    string // of the setting, for errors and logs
	current atomic.Pointer[tls.Certificate]

	mu        sync.Mutex // guards the following
	cert, key string     // names of files
	content   [sha256.Size]byte
	failed    [sha256.Size]byte // what was last reported to be wrong
}

// Loaded is a pair that was read and is not in use yet.
type Loaded struct {
	cert, key   string
	content     [sha256.Size]byte
	certificate *tls.Certificate
}

// Load reads two PEM files. The name of the setting begins errors.
func Load(name, cert, key string) (*Loaded, error) {
	content, certificate, err := read(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Loaded{cert, key, content, certificate}, nil
}

// New returns the pair of two PEM files.
func New(name, cert, key string) (*Pair, error) {
	loaded, err := Load(name, cert, key)
	if err != nil {
		return nil, err
	}
	p := &Pair{name: name}
	p.Use(loaded)
	return p, nil
}

// Use has p show what was loaded, and watch its files.
func (p *Pair) Use(l *Loaded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cert, p.key, p.content = l.cert, l.key, l.content
	p.current.Store(l.certificate)
}

// Certificate is the one in use.
func (p *Pair) Certificate() *tls.Certificate { return p.current.Load() }

// GetCertificate is for the [tls.Config] of a server.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.current.Load(), nil
}

// GetClientCertificate is for the [tls.Config] of a client.
func (p *Pair) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return p.current.Load(), nil
}

// Watch looks at the files at an interval until ctx is done.
func (p *Pair) Watch(ctx context.Context, interval time.Duration, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.Check(log)
		}
	}
}

// Check reads the files, and has what is new take the place of what was. Files that do not
// go together, such as while only one of them was replaced, change nothing; the log says
// so once.
func (p *Pair) Check(log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	content, certificate, err := read(p.cert, p.key)
	switch {
	case err != nil && content == p.failed:
	case err != nil:
		p.failed = content
		log.Warn("a changed certificate is not used; the one before stays", "setting", p.name, "error", err)
	case content != p.content:
		p.content, p.failed = content, [sha256.Size]byte{}
		p.current.Store(certificate)
		log.Info("a certificate was replaced", "setting", p.name, "subject", certificate.Leaf.Subject.String(), "not_after", certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
		if why := Untimely(certificate.Leaf, time.Now()); why != "" {
			log.Warn("a certificate is not valid now", "setting", p.name, "why", why)
		}
	}
}

// read returns the certificate of two files, and a hash of what they hold, also where they
// do not go together.
func read(cert, key string) (content [sha256.Size]byte, certificate *tls.Certificate, err error) {
	certText, err := os.ReadFile(cert)
	if err == nil {
		var keyText []byte
		if keyText, err = os.ReadFile(key); err == nil {
			h := sha256.New()
			_, _ = fmt.Fprintf(h, "%d %d ", len(certText), len(keyText))
			h.Write(certText)
			h.Write(keyText)
			content = [sha256.Size]byte(h.Sum(nil))
			certificate, err = parse(certText, keyText)
		}
	}
	if err != nil && content == [sha256.Size]byte{} {
		content = sha256.Sum256([]byte(err.Error()))
	}
	return content, certificate, err
}

func parse(cert, key []byte) (*tls.Certificate, error) {
	for _, text := range [][]byte{cert, key} {
		if _, err := pemBlocks(text); err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}
