package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
)

var secret = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

func secretKey(t testing.TB, id, algorithm string) auth.Key {
	t.Helper()
	k, err := auth.NewSecretKey(id, algorithm, secret)
	require.NoError(t, err)
	return k
}

func verifier(t testing.TB, o auth.VerifierOptions) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(o)
	require.NoError(t, err)
	return v
}

func pkcs8(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func publicPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestEveryAlgorithmSignsAndVerifies(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		require.NoError(t, err)
		return k
	}
	signers := map[string]crypto.Signer{
		"RS256": rsaKey, "RS384": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "PS384": rsaKey, "PS512": rsaKey,
		"ES256": curve(elliptic.P256()), "ES384": curve(elliptic.P384()), "ES512": curve(elliptic.P521()), "EdDSA": edKey,
	}
	check := func(t *testing.T, signing, verifying auth.Key) {
		token, err := auth.Sign(signing, auth.Claims{Subject: "alice", TTL: time.Hour, Grants: auth.Grants{Send: []string{"/topic/a"}}})
		require.NoError(t, err)
		p, err := verifier(t, auth.VerifierOptions{Keys: auth.StaticKeys{verifying}}).Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, "alice", p.Name)
		require.True(t, p.Permissions.MaySend("/topic/a"))
		require.False(t, p.Permissions.MaySend("/app/a"))
		require.WithinDuration(t, time.Now().Add(time.Hour), p.Expires, 2*time.Second)
	}
	for algorithm, signer := range signers {
		private, err := auth.NewPEMKey("k1", algorithm, pkcs8(t, signer))
		require.NoError(t, err, algorithm)
		public, err := auth.NewPEMKey("k1", algorithm, publicPEM(t, signer))
		require.NoError(t, err, algorithm)
		check(t, private, public)
		_, err = auth.Sign(public, auth.Claims{Subject: "alice", TTL: time.Hour})
		require.ErrorContains(t, err, "no private part")
	}
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		k := secretKey(t, "", algorithm)
		check(t, k, k)
	}
}

func TestKeysRefuseWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	_, err := auth.NewSecretKey("", "HS256", []byte("short"))
	require.ErrorContains(t, err, "needs at least 32")
	_, err = auth.NewSecretKey("", "RS256", secret)
	require.ErrorContains(t, err, "does not work with a secret")
	_, err = auth.NewSecretKey("", "none", secret)
	require.Error(t, err)
	_, err = auth.NewPEMKey("", "", []byte("nothing"))
	require.ErrorContains(t, err, "no PEM block")
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, err = auth.NewPEMKey("", "HS256", publicPEM(t, edKey))
	require.ErrorContains(t, err, "can be EdDSA")
}

// TestTokensThatMustBeRefused: every refusal is the same to the client, and
// says why to the log, without the token.
func TestTokensThatMustBeRefused(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	public, err := auth.NewPEMKey("rsa", "RS256", publicPEM(t, rsaKey))
	require.NoError(t, err)
	v := verifier(t, auth.VerifierOptions{
		Keys:   auth.StaticKeys{secretKey(t, "main", "HS256"), public},
		Issuer: "https://issuer.example", Audience: []string{"chat"}, RequiredClaims: []string{"tenant"}, Leeway: time.Second,
	})
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "alice", "iss": "https://issuer.example", "aud": "chat", "tenant": "t", "exp": time.Now().Add(time.Hour).Unix()}
	}
	sign := func(method jwt.SigningMethod, kid string, key any, change func(jwt.MapClaims)) string {
		claims := good()
		if change != nil {
			change(claims)
		}
		token := jwt.NewWithClaims(method, claims)
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return text
	}
	hs := func(change func(jwt.MapClaims)) string { return sign(jwt.SigningMethodHS256, "main", secret, change) }
	for _, kid := range []string{"main", ""} {
		_, err = v.Verify(t.Context(), sign(jwt.SigningMethodHS256, kid, secret, nil))
		require.NoError(t, err, "kid %q", kid)
	}
	for _, tenant := range []any{"t", true, 0, 7, []any{"", "t"}, map[string]any{"id": nil}} {
		_, err = v.Verify(t.Context(), hs(func(c jwt.MapClaims) { c["tenant"] = tenant }))
		require.NoError(t, err, "tenant %v", tenant)
	}
	header := func(name string, value any) string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, good())
		token.Header["kid"], token.Header[name] = "main", value
		text, err := token.SignedString(secret)
		require.NoError(t, err)
		return text
	}
	set := func(name string, value any) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c[name] = value }
	}
	remove := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	valid := hs(nil)
	parts := strings.Split(valid, ".")
	tests := map[string]struct{ token, says string }{
		"expired":            {hs(set("exp", time.Now().Add(-time.Minute).Unix())), "expired"},
		"no expiry":          {hs(remove("exp")), "exp claim is required"},
		"not yet valid":      {hs(set("nbf", time.Now().Add(30*time.Minute).Unix())), "not valid yet"},
		"issued later":       {hs(set("iat", time.Now().Add(30*time.Minute).Unix())), "before issued"},
		"wrong issuer":       {hs(set("iss", "someone")), "invalid issuer"},
		"wrong audience":     {hs(set("aud", "mail")), "invalid audience"},
		"no subject":         {hs(remove("sub")), `claim "sub"`},
		"subject not text":   {hs(set("sub", 7)), `claim "sub"`},
		"no required claim":  {hs(remove("tenant")), `no claim "tenant"`},
		"required but null":  {hs(set("tenant", nil)), `no claim "tenant"`},
		"required but empty": {hs(set("tenant", "")), `no claim "tenant"`},
		"required but blank": {hs(set("tenant", " \t")), `no claim "tenant"`},
		"required but false": {hs(set("tenant", false)), `no claim "tenant"`},
		"required, no list":  {hs(set("tenant", []any{})), `no claim "tenant"`},
		"required, a list":   {hs(set("tenant", []any{"", nil, false})), `no claim "tenant"`},
		"required, a map":    {hs(set("tenant", map[string]any{})), `no claim "tenant"`},
		"subject with NUL":   {hs(set("sub", "\x00127.0.0.1/32")), "NUL character"},
		"wrong secret":       {sign(jwt.SigningMethodHS256, "main", append([]byte("x"), secret...), nil), "signature is invalid"},
		"other algorithm":    {sign(jwt.SigningMethodHS512, "main", secret, nil), "no key for kid \"main\" with algorithm HS512"},
		"unknown kid of RSA": {sign(jwt.SigningMethodRS256, "other", rsaKey, nil), "no key for kid"},
		"none":               {sign(jwt.SigningMethodNone, "main", jwt.UnsafeAllowNoneSignatureType, nil), "signing method none is invalid"},
		"public key as HMAC secret": {
			sign(jwt.SigningMethodHS256, "rsa", publicPEM(t, rsaKey), nil), "no key for kid \"rsa\" with algorithm HS256"},
		"required claim of null": {hs(set("tenant", nil)), `no claim "tenant"`},
		"expiry of null":         {hs(set("exp", nil)), `"exp" is not a number`},
		"expiry as text":         {hs(set("exp", "9999999999")), `"exp" is not a number`},
		"expiry in the year 0":   {hs(set("exp", -1e300)), "expired"},
		"expiry in 1970":         {hs(set("exp", 0)), "expired"},
		"valid in ages":          {hs(set("nbf", 1e300)), "not valid yet"},
		"issued in ages":         {hs(set("iat", 1e300)), "before issued"},
		"critical extension":     {header("crit", []string{"urn:example:ext"}), "header crit"},
		"critical b64":           {header("crit", []string{"b64"}), "header crit"},
		"critical nothing":       {header("crit", nil), "header crit"},
		"claims as they are":     {header("b64", false), "header b64"},
		"b64 of null":            {header("b64", nil), "header b64"},
		"subject not UTF-8":      {hs(set("sub", "a\xff")), `claim "sub" is not UTF-8`},
		"half a pair":            {hs(set("sub", json.RawMessage(`"\ud800"`))), `claim "sub" is not UTF-8`},
		"kid not text":           {header("kid", 7), "header kid"},
		"malformed":              {"abc", "malformed"},
		"payload changed":        {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root"}`)) + "." + parts[2], "signature is invalid"},
		"too long":               {strings.Repeat("a", 20000), "at most"},
		"bad permissions":        {hs(set("stompbox", "all")), "is not {"},
		"bad pattern":            {hs(set("stompbox", map[string]any{"send": []string{"x"}})), "does not begin with /"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), tt.token)
			require.ErrorIs(t, err, auth.ErrUnauthenticated)
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), tt.token)
		})
	}
}

// TestTokensThatEndInAges: no exp is so far away that it wraps around.
func TestTokensThatEndInAges(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.VerifierOptions{Keys: auth.StaticKeys{secretKey(t, "", "HS256")}, Leeway: time.Hour})
	last := time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	for exp, ends := range map[float64]time.Time{
		9223372036:   time.Unix(9223372036, 0), // the last second that a count of nanoseconds holds
		9223372037:   time.Unix(9223372037, 0),
		9999999999.7: time.Unix(9999999999, 0),
		253402300799: last,
		1 << 62:      last,
		1e18:         last,
		1e300:        last,
	} {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice", "exp": exp, "nbf": -1e300, "iat": -1e300}).SignedString(secret)
		require.NoError(t, err)
		p, err := v.Verify(t.Context(), token)
		require.NoError(t, err, "exp %v", exp)
		require.True(t, p.Expires.Equal(ends.Add(time.Hour)), "exp %v gave %s", exp, p.Expires)
	}
}

func TestGrantsComeFromClaimRolesOrDefault(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.VerifierOptions{
		Keys: auth.StaticKeys{secretKey(t, "", "HS256")}, PrincipalClaim: "email", PermissionsClaim: "perm", RolesClaim: "roles",
		Roles:         map[string]auth.Grants{"staff": {Send: []string{"/topic/news"}}},
		DefaultGrants: auth.DefaultGrants(),
	})
	principal := func(extra map[string]any, grants auth.Grants) *auth.Principal {
		token, err := auth.Sign(secretKey(t, "", "HS256"), auth.Claims{Subject: "a@b", TTL: time.Hour, PrincipalClaim: "email", PermissionsClaim: "perm", Grants: grants, Extra: extra})
		require.NoError(t, err)
		p, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, "a@b", p.Name)
		return p
	}
	p := principal(nil, auth.Grants{})
	require.True(t, p.Permissions.MaySend("/app/x"))
	require.False(t, p.Permissions.MaySend("/topic/news"))
	require.True(t, p.Permissions.MaySubscribe(pattern(t, "/user/queue/x")))

	p = principal(map[string]any{"roles": []string{"other", "staff"}}, auth.Grants{Send: []string{"/topic/mine"}})
	require.True(t, p.Permissions.MaySend("/topic/news"))
	require.True(t, p.Permissions.MaySend("/topic/mine"))
	require.False(t, p.Permissions.MaySend("/app/x"))

	p = principal(map[string]any{"roles": "staff"}, auth.Grants{})
	require.True(t, p.Permissions.MaySend("/topic/news"))
	require.False(t, p.Permissions.MaySubscribe(pattern(t, "/topic/a")))
}

func TestStaticLogins(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPasscode("s3cret")
	require.NoError(t, err)
	logins, err := auth.NewLogins([]auth.Login{{Name: "spring", PasscodeHash: hash, Grants: auth.AllGrants()}})
	require.NoError(t, err)
	a := &auth.Authenticator{Logins: logins, Tokens: verifier(t, auth.VerifierOptions{Keys: auth.StaticKeys{secretKey(t, "", "")}})}
	for range 3 { // the second time the MAC answers
		p, err := a.Authenticate(t.Context(), auth.Credentials{Login: "spring", Passcode: "s3cret"})
		require.NoError(t, err)
		require.Equal(t, "spring", p.Name)
		require.True(t, p.Expires.IsZero())
		_, err = a.Authenticate(t.Context(), auth.Credentials{Login: "spring", Passcode: "s3creT"})
		require.ErrorIs(t, err, auth.ErrUnauthenticated)
		require.ErrorContains(t, err, "wrong passcode")
		require.NotContains(t, err.Error(), "s3creT")
	}
	_, err = a.Authenticate(t.Context(), auth.Credentials{Login: "nobody", Passcode: "s3cret"})
	require.ErrorContains(t, err, "no login")

	token, err := auth.Sign(secretKey(t, "", ""), auth.Claims{Subject: "alice", TTL: time.Hour})
	require.NoError(t, err)
	for _, c := range []auth.Credentials{{Authorization: "Bearer " + token}, {Authorization: "bearer  " + token}, {Login: "alice", Passcode: token}, {Passcode: token}} {
		p, err := a.Authenticate(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, "alice", p.Name)
	}
	for _, beside := range []string{"Bearer " + token, "Bearer of.somebody.else", "Basic abc"} {
		p, err := a.Authenticate(t.Context(), auth.Credentials{Authorization: beside, Login: "spring", Passcode: "s3cret"})
		require.NoError(t, err)
		require.Equal(t, "spring", p.Name, "a relay forwards the Authorization of its clients")
		for _, c := range []auth.Credentials{{Login: "spring", Passcode: "wrong"}, {Login: "nobody", Passcode: "s3cret"}} {
			c.Authorization = beside
			_, err = a.Authenticate(t.Context(), c)
			require.ErrorIs(t, err, auth.ErrUnauthenticated)
		}
	}
	p, err := (&auth.Authenticator{Tokens: a.Tokens}).Authenticate(t.Context(), auth.Credentials{Authorization: "Bearer " + token, Login: "x", Passcode: "y"})
	require.NoError(t, err, "without static logins a token is all that counts")
	require.Equal(t, "alice", p.Name)
	p, err = a.Authenticate(t.Context(), auth.Credentials{Authorization: "Bearer " + token, Login: "spring"})
	require.NoError(t, err)
	require.Equal(t, "alice", p.Name)
	for _, c := range []auth.Credentials{{}, {Authorization: token}, {Authorization: "Basic abc"}, {Authorization: "Bearer"}, {Login: "x"}} {
		_, err := a.Authenticate(t.Context(), c)
		require.ErrorIs(t, err, auth.ErrUnauthenticated)
	}
	_, err = (&auth.Authenticator{}).Authenticate(t.Context(), auth.Credentials{Passcode: token})
	require.ErrorContains(t, err, "no key for tokens")

	alice, err := a.Authenticate(t.Context(), auth.Credentials{Passcode: token})
	require.NoError(t, err)
	_, err = a.Refresh(t.Context(), alice, token+"\n")
	require.NoError(t, err)
	other, err := auth.Sign(secretKey(t, "", ""), auth.Claims{Subject: "bob", TTL: time.Hour})
	require.NoError(t, err)
	_, err = a.Refresh(t.Context(), alice, other)
	require.ErrorContains(t, err, `is for "bob"`)

	_, err = auth.NewLogins([]auth.Login{{Name: "x", PasscodeHash: "plain"}})
	require.ErrorContains(t, err, `login "x"`)
	_, err = auth.NewLogins([]auth.Login{{Name: "x", PasscodeHash: hash}, {Name: "x", PasscodeHash: hash}})
	require.ErrorContains(t, err, "unique")
}

// jwksServer publishes whatever set it holds, or fails.
type jwksServer struct {
	set    atomic.Value
	down   atomic.Bool
	served atomic.Int32
}

func (s *jwksServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.served.Add(1)
	if s.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write(s.set.Load().([]byte))
}

func (s *jwksServer) publish(t testing.TB, kid string, key crypto.Signer) {
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, USE: jwkset.UseSig}})
	require.NoError(t, err)
	text, err := json.Marshal(map[string]any{"keys": []any{jwk.Marshal()}})
	require.NoError(t, err)
	s.set.Store(text)
}

func TestJWKSRotatesAndSurvivesItsServer(t *testing.T) {
	t.Parallel()
	newKey := func(kid string) (crypto.Signer, auth.Key) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		key, err := auth.NewPEMKey(kid, "", pkcs8(t, k))
		require.NoError(t, err)
		return k, key
	}
	firstSigner, first := newKey("first")
	secondSigner, second := newKey("second")
	s := &jwksServer{}
	s.publish(t, "first", firstSigner)
	server := httptest.NewServer(s)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	jwks, err := auth.NewJWKS(ctx, auth.JWKSOptions{URL: server.URL, UnknownKeyEvery: time.Millisecond})
	require.NoError(t, err)
	v := verifier(t, auth.VerifierOptions{Keys: auth.MultiKeys{auth.StaticKeys{}, jwks}})
	verify := func(key auth.Key) error {
		token, err := auth.Sign(key, auth.Claims{Subject: "alice", TTL: time.Hour})
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), token)
		return err
	}
	require.NoError(t, verify(first))
	s.down.Store(true)
	require.NoError(t, verify(first), "known keys work while the server is down")
	require.ErrorContains(t, verify(second), `no key "second"`)
	s.down.Store(false)
	s.publish(t, "second", secondSigner)
	require.NoError(t, verify(second), "an unknown kid fetches the set again")
	require.Error(t, verify(first), "a key that was withdrawn no longer works")

	_, err = auth.NewJWKS(ctx, auth.JWKSOptions{URL: "ftp://x"})
	require.ErrorContains(t, err, "not an http or https URL")
}

func TestJWKSThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	s := &jwksServer{}
	s.down.Store(true)
	server := httptest.NewServer(s)
	defer server.Close()
	jwks, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL, UnknownKeyEvery: time.Millisecond})
	require.NoError(t, err)
	_, err = jwks.Candidates(t.Context(), "k", "ES256")
	require.Error(t, err)
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	s.publish(t, "k", signer)
	s.down.Store(false)
	keys, err := jwks.Candidates(t.Context(), "k", "ES256")
	require.NoError(t, err)
	require.Len(t, keys, 1)
	none, err := jwks.Candidates(t.Context(), "k", "ES384")
	require.NoError(t, err)
	require.Empty(t, none, "the algorithm is pinned by the key")
}
