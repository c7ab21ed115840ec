package auth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
)

func TestNamesOfCertificates(t *testing.T) {
	t.Parallel()
	full := &x509.Certificate{
		Subject: pkix.Name{CommonName: "cn"}, DNSNames: []string{"a.example", "b.example"}, EmailAddresses: []string{"a@a.example"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "a.example", Path: "/orders"}},
	}
	for name, want := range map[auth.CertificateName]string{auth.NameCN: "cn", auth.NameDNS: "a.example", auth.NameEmail: "a@a.example", auth.NameURI: "spiffe://a.example/orders", "x": ""} {
		require.Equal(t, want, name.Of(full))
		require.Empty(t, name.Of(new(x509.Certificate)))
	}
}

// checker refuses all chains once it is revoked.
type checker struct{ revoked bool }

func (c *checker) CheckChain([]*x509.Certificate) error {
	if c.revoked {
		return errors.New("it is revoked")
	}
	return nil
}

// TestACertificateIsALogin: which other credentials count, and how long.
func TestACertificateIsALogin(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPasscode("right")
	require.NoError(t, err)
	check := new(checker)
	a := authenticator(t, auth.VerifierOptions{Keys: auth.StaticKeys{renewKey(t, "", "a")}},
		auth.Login{Name: "orders", Certificate: true, Grants: auth.Grants{Send: []string{"/topic/a"}}}, auth.Login{Name: "people", PasscodeHash: hash})
	a.Certificates = check
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	chain := []*x509.Certificate{{NotAfter: ends.Add(time.Hour)}, {NotAfter: ends}}
	shown := func(name string) *auth.Certificate { return &auth.Certificate{Name: name, Chain: chain} }
	token, err := auth.Sign(renewKey(t, "", "a"), auth.Claims{Subject: "alice", TTL: time.Hour})
	require.NoError(t, err)
	for _, c := range []struct {
		shown auth.Credentials
		name  string // "" is refused
	}{
		{auth.Credentials{Certificate: shown("orders")}, "orders"},
		{auth.Credentials{Certificate: shown("orders"), Login: "orders", Passcode: "guest"}, "orders"},
		{auth.Credentials{Certificate: shown("orders"), Login: "people", Passcode: "right"}, "people"},
		{auth.Credentials{Certificate: shown("orders"), Passcode: token}, "alice"},
		{auth.Credentials{Certificate: shown("orders"), Authorization: "Bearer " + token}, "alice"},
		{auth.Credentials{Certificate: shown("orders"), Authorization: "Bearer x"}, ""},
		{auth.Credentials{Certificate: shown("orders"), Login: "people", Passcode: "wrong"}, ""},
		{auth.Credentials{Certificate: shown("orders"), Login: "people"}, ""},
		{auth.Credentials{Certificate: shown("people")}, ""},
		{auth.Credentials{Certificate: shown("nobody")}, ""},
		{auth.Credentials{Certificate: shown("")}, ""},
		{auth.Credentials{Login: "orders"}, ""},
		{auth.Credentials{Login: "orders", Passcode: "guest"}, ""},
		{auth.Credentials{Login: "orders", Passcode: " "}, ""},
	} {
		p, err := a.Authenticate(t.Context(), c.shown)
		if c.name == "" {
			require.ErrorIs(t, err, auth.ErrUnauthenticated, "%v", c.shown)
			continue
		}
		require.NoError(t, err, "%v", c.shown)
		require.Equal(t, c.name, p.Name)
		if c.name == "orders" {
			require.Equal(t, "certificate", p.Method)
			require.Equal(t, ends, p.Expires, "when the first of the chain does")
			require.True(t, p.Permissions.MaySend("/topic/a"))
		}
	}
	p, err := a.Authenticate(t.Context(), auth.Credentials{Certificate: shown("orders")})
	require.NoError(t, err)
	now := authenticator(t, auth.VerifierOptions{}, auth.Login{Name: "orders", Certificate: true, Grants: auth.Grants{Send: []string{"/topic/b"}}})
	_, err = now.Renew(p)
	require.ErrorContains(t, err, "certificates are not taken any more")
	now.Certificates = check
	p, err = now.Renew(p)
	require.NoError(t, err)
	require.True(t, p.Permissions.MaySend("/topic/b"))
	require.Equal(t, ends, p.Expires)
	check.revoked = true
	_, err = now.Renew(p)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
	require.ErrorContains(t, err, "it is revoked")
	check.revoked = false
	_, err = authenticator(t, auth.VerifierOptions{}, auth.Login{Name: "orders", PasscodeHash: hash}).Renew(p)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
}
