package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/stompbox/stompbox/auth"
)

func renewKey(t *testing.T, id, letter string) auth.Key {
	t.Helper()
	k, err := auth.NewSecretKey(id, "HS256", bytes.Repeat([]byte(letter), 32))
	require.NoError(t, err)
	return k
}

func authenticator(t *testing.T, o auth.VerifierOptions, logins ...auth.Login) *auth.Authenticator {
	t.Helper()
	a := new(auth.Authenticator)
	var err error
	if o.Keys != nil {
		a.Tokens, err = auth.NewVerifier(o)
		require.NoError(t, err)
	}
	if len(logins) > 0 {
		a.Logins, err = auth.NewLogins(logins)
		require.NoError(t, err)
	}
	return a
}

// TestRenewHoldsATokenToTheRolesOfNow: its own permissions stay, those of roles and the
// default are what they are now.
func TestRenewHoldsATokenToTheRolesOfNow(t *testing.T) {
	t.Parallel()
	a, b, unnamed := renewKey(t, "a", "a"), renewKey(t, "b", "b"), renewKey(t, "", "c")
	grants := func(send string) auth.Grants { return auth.Grants{Send: []string{send}} }
	old := authenticator(t, auth.VerifierOptions{
		Keys: auth.StaticKeys{a, b, unnamed, renewKey(t, "", "d")}, RolesClaim: "roles", DefaultGrants: grants("/topic/default"),
		Roles: auth.Roles{"member": grants("/topic/member"), "admin": grants("/topic/admin")},
	})
	now := authenticator(t, auth.VerifierOptions{
		Keys: auth.MultiKeys{auth.StaticKeys{unnamed, b}}, RolesClaim: "roles", DefaultGrants: grants("/topic/other"),
		Roles: auth.Roles{"member": grants("/topic/changed"), "later": grants("/topic/later")},
	})
	token := func(key auth.Key, own auth.Grants, roles ...any) *auth.Principal {
		text, err := auth.Sign(key, auth.Claims{Subject: "alice", TTL: time.Hour, Grants: own, Extra: map[string]any{"roles": roles}})
		require.NoError(t, err)
		p, err := old.Authenticate(t.Context(), auth.Credentials{Passcode: text})
		require.NoError(t, err)
		return p
	}
	may := func(p *auth.Principal) (granted []string) {
		for _, dest := range []string{"/topic/default", "/topic/other", "/topic/own", "/topic/member", "/topic/changed", "/topic/admin", "/topic/later"} {
			if p.Permissions.MaySend(dest) {
				granted = append(granted, dest)
			}
		}
		return granted
	}
	for _, c := range []struct {
		token       *auth.Principal
		before, now []string
	}{
		{token(b, auth.Grants{}), []string{"/topic/default"}, []string{"/topic/other"}},
		{token(unnamed, grants("/topic/own")), []string{"/topic/own"}, []string{"/topic/own"}},
		{token(unnamed, grants("/topic/own"), "admin"), []string{"/topic/own", "/topic/admin"}, []string{"/topic/own"}},
		{token(b, auth.Grants{}, "member", "later"), []string{"/topic/member"}, []string{"/topic/changed", "/topic/later"}},
		{token(b, auth.Grants{}, "admin"), []string{"/topic/admin"}, []string{"/topic/other"}},
	} {
		require.Equal(t, c.before, may(c.token))
		p, err := now.Renew(c.token)
		require.NoError(t, err)
		require.Equal(t, c.now, may(p))
		require.Equal(t, c.token.Expires, p.Expires)
		p, err = old.Renew(p) // and back
		require.NoError(t, err)
		require.Equal(t, c.before, may(p))
	}
	for _, gone := range []*auth.Principal{token(a, auth.Grants{}), token(renewKey(t, "", "d"), auth.Grants{})} {
		_, err := now.Renew(gone)
		require.ErrorIs(t, err, auth.ErrUnauthenticated)
		require.ErrorContains(t, err, "the key that the token was checked with is not configured any more")
	}
	_, err := authenticator(t, auth.VerifierOptions{}).Renew(token(b, auth.Grants{}))
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
}

// TestRenewOfPublishedKeys: which keys a set has is the matter of who publishes it, so that a
// key that it has no more ends no session; another set does.
func TestRenewOfPublishedKeys(t *testing.T) {
	t.Parallel()
	var set atomic.Pointer[[]byte]
	publish := func(keys ...any) {
		text, err := json.Marshal(map[string]any{"keys": keys})
		require.NoError(t, err)
		set.Store(&text)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*set.Load()) }))
	defer server.Close()
	signer, key := newSigner(t, "k")
	publish(jwk(t, "k", signer, nil))
	of := func(url string) *auth.Authenticator {
		keys, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: url})
		require.NoError(t, err)
		return authenticator(t, auth.VerifierOptions{Keys: auth.MultiKeys{auth.StaticKeys{renewKey(t, "x", "x")}, keys}})
	}
	text, err := auth.Sign(key, auth.Claims{Subject: "alice", TTL: time.Hour})
	require.NoError(t, err)
	p, err := of(server.URL).Authenticate(t.Context(), auth.Credentials{Passcode: text})
	require.NoError(t, err)
	other, _ := newSigner(t, "other")
	publish(jwk(t, "other", other, nil))
	_, err = of(server.URL).Renew(p)
	require.NoError(t, err)
	_, err = of(server.URL + "/other").Renew(p)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
}

// TestRenewOfLogins ends those that are gone, and those whose passcode is another one.
func TestRenewOfLogins(t *testing.T) {
	t.Parallel()
	hash := func(passcode string) string {
		text, err := bcrypt.GenerateFromPassword([]byte(passcode), bcrypt.MinCost)
		require.NoError(t, err)
		return string(text)
	}
	stays, changes, goes := hash("1"), hash("2"), hash("3")
	old := authenticator(t, auth.VerifierOptions{}, auth.Login{Name: "stays", PasscodeHash: stays}, auth.Login{Name: "changes", PasscodeHash: changes}, auth.Login{Name: "goes", PasscodeHash: goes})
	now := authenticator(t, auth.VerifierOptions{}, auth.Login{Name: "stays", PasscodeHash: stays, Grants: auth.AllGrants()}, auth.Login{Name: "changes", PasscodeHash: hash("other")})
	login := func(a *auth.Authenticator, name, passcode string) (*auth.Principal, error) {
		return a.Authenticate(context.Background(), auth.Credentials{Login: name, Passcode: passcode})
	}
	p, err := login(old, "stays", "1")
	require.NoError(t, err)
	require.False(t, p.Permissions.MaySend("/topic/a"))
	p, err = now.Renew(p)
	require.NoError(t, err)
	require.True(t, p.Permissions.MaySend("/topic/a"))
	for name, says := range map[string]string{"changes": "another passcode", "goes": "not configured any more"} {
		p, err := login(old, name, map[string]string{"changes": "2", "goes": "3"}[name])
		require.NoError(t, err)
		_, err = now.Renew(p)
		require.ErrorIs(t, err, auth.ErrUnauthenticated)
		require.ErrorContains(t, err, says)
	}
	_, err = authenticator(t, auth.VerifierOptions{}).Renew(p)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
	embedded := &auth.Principal{Name: "of an embedding program"}
	p, err = now.Renew(embedded)
	require.NoError(t, err)
	require.Same(t, embedded, p)
}

// TestLoginsContinue: who has guessed too often stays out after a reload, and the counts go on.
func TestLoginsContinue(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPasscode("right")
	require.NoError(t, err)
	begin := func(previous *auth.Logins) *auth.Replaceable {
		l, err := auth.NewLogins([]auth.Login{{Name: "a", PasscodeHash: hash}})
		require.NoError(t, err)
		l.Continue(previous)
		l.LimitFailures(1, 0)
		return auth.NewReplaceable(&auth.Authenticator{Logins: l})
	}
	r := begin(nil)
	show := func(passcode string) error {
		_, err := r.Authenticate(t.Context(), auth.Credentials{Login: "a", Passcode: passcode, Remote: "192.0.2.1:1"})
		return err
	}
	require.NoError(t, show("right"))
	require.ErrorIs(t, show("wrong"), auth.ErrUnauthenticated)
	var busy *auth.BusyError
	require.ErrorAs(t, show("other"), &busy)
	r.Replace(begin(r.Current().Logins).Current())
	require.ErrorAs(t, show("other"), &busy, "it was to wait for a minute")
	require.NoError(t, show("right"), "which is known without bcrypt")
	require.Equal(t, auth.LoginStats{Accepted: 2, Refused: 1, Limited: 2}, r.Stats().Logins)
}
