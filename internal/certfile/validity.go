package certfile

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Untimely says why clients refuse a certificate at a time, or "".
func Untimely(leaf *x509.Certificate, now time.Time) string {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate ended on %s, so clients refuse it; renew it", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate begins on %s, and clients refuse it until then; see whether the clock of this machine is right", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return ""
}

// Untimely is [Untimely] of the certificate in use, with the name of the setting.
func (p *Pair) Untimely(now time.Time) string {
	if why := Untimely(p.Certificate().Leaf, now); why != "" {
		return p.name + ": " + why
	}
	return ""
}
