package doctor

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stompbox/stompbox/internal/certfile"
)

// soonExpired is how long before its end a certificate is worth a warning, at most: one
// that lives for days is renewed within the last third of them.
func soonExpired(leaf *x509.Certificate) time.Duration {
	return min(21*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/3)
}

// certificates checks the certificate of each listener and connection.
func checkCertificates(_ context.Context, e *examination) []Result {
	var all []Result
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if t := e.c.HTTP.TLS; t.Cert != "" {
		all = append(all, checkCertificate(e, "http.tls", t.Cert, t.Key, "", server))
	}
	if t := e.c.STOMP.TLS; t.Cert != "" {
		all = append(all, checkCertificate(e, "stomp.tls", t.Cert, t.Key, "", server))
	}
	if t := e.c.STOMP.ClientTLS; t.CRL != "" {
		all = append(all, checkRevocations(e, t.CA, t.CRL))
	}
	if t := e.c.NATS.TLS; t.Cert != "" {
		// The server's CA need not be that of its clients.
		all = append(all, checkCertificate(e, "nats.tls", t.Cert, t.Key, anyCA, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}))
	}
	if t := e.c.Cluster.TLS; t.Cert != "" {
		// Each node is the server of some routes and the client of others.
		both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		all = append(all, checkCertificate(e, "cluster.tls", t.Cert, t.Key, t.CA, both))
	}
	return all
}

// anyCA stands in place of a file for a certificate whose chain is another's to judge.
const anyCA = "*"

// certificate checks a pair of files as a server that shows it would be checked.
func checkCertificate(e *examination, check, certFile, keyFile, caFile string, usages []x509.ExtKeyUsage) Result {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fail(check, "use the key that the certificate was made for, both in PEM; openssl x509 -noout -pubkey -in CERT and openssl pkey -pubout -in KEY print the same", "%v", err)
	}
	leaf := pair.Leaf
	if result, bad := checkDates(e, check, leaf); bad {
		return result
	}
	if serves := usages[0] == x509.ExtKeyUsageServerAuth; serves && caFile == "" && len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		return fail(check, "make a certificate with subjectAltName; clients do not look at the common name", "%s names no host", certFile)
	}
	if key, isRSA := leaf.PublicKey.(*rsa.PublicKey); isRSA && key.N.BitLen() < 2048 {
		return warn(check, "make a key of 2048 bits or more", "the RSA key has %d bits, which clients refuse", key.N.BitLen())
	}
	if result, bad := checkChain(e, check, pair, caFile, usages); bad {
		return result
	}
	return ok(check, "%s is for %s, until %s", certFile, names(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
}

// checkRevocations looks whether each revocation list is still valid: where one is not, no
// certificate of its authority lets a client in.
func checkRevocations(e *examination, caFile, crlFile string) Result {
	const check, remedy = "stomp.client_tls", "get a newer list from the authority, and see why that did not happen by itself"
	authorities, err := certfile.LoadAuthorities(check, caFile, crlFile)
	if err != nil {
		return fail(check, "give ca the certificates of the authorities, and crl the lists that they signed, both whole", "%v", err)
	}
	now, revoked := e.Now(), 0
	result := ok(check, "")
	for _, list := range authorities.Lists() {
		revoked += len(list.RevokedCertificateEntries)
		left, next := list.NextUpdate.Sub(now), list.NextUpdate.UTC().Format(time.RFC3339)
		switch {
		case list.NextUpdate.IsZero():
		case left <= 0:
			return fail(check, remedy, "the revocation list of %s ended on %s, so all certificates of that authority are refused", list.Issuer, next)
		case left < list.NextUpdate.Sub(list.ThisUpdate)/10:
			result = warn(check, remedy, "the revocation list of %s ends on %s; then all certificates of that authority are refused", list.Issuer, next)
		}
	}
	if result.Status == OK {
		return ok(check, "%d revocation lists, with %d certificates", len(authorities.Lists()), revoked)
	}
	return result
}

// names lists what a certificate is for.
func names(leaf *x509.Certificate) string {
	all := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return leaf.Subject.String()
	}
	if len(all) > 3 {
		return fmt.Sprintf("%s and %d others", all[0], len(all)-1)
	}
	text := all[0]
	for _, name := range all[1:] {
		text += ", " + name
	}
	return text
}

func checkDates(e *examination, check string, leaf *x509.Certificate) (Result, bool) {
	now := e.Now()
	switch {
	case now.After(leaf.NotAfter):
		return fail(check, "renew it", "the certificate of %s ended on %s", names(leaf), leaf.NotAfter.UTC().Format(time.RFC3339)), true
	case now.Before(leaf.NotBefore):
		return fail(check, "wait, or correct this machine's clock", "the certificate of %s begins on %s", names(leaf), leaf.NotBefore.UTC().Format(time.RFC3339)), true
	case leaf.NotAfter.Sub(now) < soonExpired(leaf):
		return warn(check, "renew it now, and see why that did not happen by itself", "the certificate of %s ends in %d days", names(leaf), int(leaf.NotAfter.Sub(now).Hours()/24)), true
	}
	return Result{}, false
}

// chain verifies a certificate up to a CA: that of caFile, or the system's.
func checkChain(e *examination, check string, pair tls.Certificate, caFile string, usages []x509.ExtKeyUsage) (Result, bool) {
	if caFile == anyCA {
		return Result{}, false
	}
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: e.Now()}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err == nil {
			options.Roots, err = certfile.Pool(text)
		}
		if err != nil {
			return fail(check, "set ca to the PEM file of who signed the nodes' certificates", "%s: %v", caFile, err), true
		}
	}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			options.Intermediates.AddCert(c)
		}
	}
	for _, usage := range usages { // each has to be allowed
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		_, err := pair.Leaf.Verify(options)
		var authority x509.UnknownAuthorityError
		switch {
		case err == nil:
		case errors.As(err, &authority) && caFile == "":
			// A CA of one's own is no mistake, so that this is no failure.
			return warn(check, "put the intermediate certificates behind the certificate in the same file; with a CA of your own, give its certificate to the clients", "no CA that this machine trusts signed it (issuer %s, %d certificates in the file)", pair.Leaf.Issuer, len(pair.Certificate)), true
		default:
			return fail(check, "have the certificate made again; it has to be for the use as server, and for cluster.tls as client too", "%v", err), true
		}
	}
	return Result{}, false
}
