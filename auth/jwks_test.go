package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/test/local"
)

// newSigner makes a key pair, and the same as a Key that can sign.
func newSigner(t testing.TB, kid string) (crypto.Signer, auth.Key) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := auth.NewPEMKey(kid, "", pkcs8(t, signer))
	require.NoError(t, err)
	return signer, key
}

// jwk is the public part of a key as a set has it, with more members.
func jwk(t testing.TB, kid string, signer crypto.Signer, more map[string]any) map[string]any {
	t.Helper()
	key, err := jwkset.NewJWKFromKey(signer.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
	require.NoError(t, err)
	text, err := json.Marshal(key.Marshal())
	require.NoError(t, err)
	members := make(map[string]any)
	require.NoError(t, json.Unmarshal(text, &members))
	for name, value := range more {
		members[name] = value
	}
	return members
}

func logger(log *local.Log) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

// TestKeysThatAreNotUnderstoodSpoilNoOthers: RFC 7517, 5.
func TestKeysThatAreNotUnderstoodSpoilNoOthers(t *testing.T) {
	t.Parallel()
	goodSigner, good := newSigner(t, "good")
	token, err := auth.Sign(good, auth.Claims{Subject: "alice", TTL: time.Hour})
	require.NoError(t, err)
	other, _ := newSigner(t, "other")
	fetched := make(chan string, 1)
	x5u := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fetched <- r.URL.Path }))
	defer x5u.Close()
	for name, tt := range map[string]struct {
		key     any
		skipped int64
	}{
		"unknown kty":         {map[string]any{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA"}, 1},
		"unknown curve":       {map[string]any{"kty": "EC", "kid": "k", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}, 1},
		"point off the curve": {map[string]any{"kty": "EC", "kid": "k", "crv": "P-256", "x": "AAAA", "y": "AAAA"}, 1},
		"unknown use":         {jwk(t, "o", other, map[string]any{"use": "jwt-svid"}), 1},
		"encryption":          {jwk(t, "o", other, map[string]any{"use": "enc"}), 0},
		"operation":           {jwk(t, "o", other, map[string]any{"key_ops": []string{"deriveKey"}}), 0},
		"unknown operation":   {jwk(t, "o", other, map[string]any{"key_ops": []string{"dance"}}), 1},
		"broken x5c":          {jwk(t, "o", other, map[string]any{"x5c": []string{"AAAA"}}), 1},
		"x5u":                 {jwk(t, "o", other, map[string]any{"x5u": x5u.URL}), 0},
		"members of any type": {map[string]any{"kty": 7, "kid": []string{}}, 1},
		"secret":              {map[string]any{"kty": "oct", "kid": "good", "k": "AAAA"}, 1},
		"short RSA key":       {map[string]any{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}, 1},
		"null":                {nil, 1},
		"number":              {7, 1},
		"list":                {[]any{}, 1},
	} {
		for _, keys := range [][]any{{tt.key, jwk(t, "good", goodSigner, nil)}, {jwk(t, "good", goodSigner, nil), tt.key}} {
			text, err := json.Marshal(map[string]any{"keys": keys})
			require.NoError(t, err)
			s := &jwksServer{}
			s.set.Store(text)
			server := httptest.NewServer(s)
			log := new(local.Log)
			set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL, Logger: logger(log)})
			require.NoError(t, err, name)
			v := verifier(t, auth.VerifierOptions{Keys: auth.MultiKeys{auth.StaticKeys{}, set}})
			p, err := v.Verify(t.Context(), token)
			require.NoError(t, err, name)
			require.Equal(t, "alice", p.Name)
			require.Equal(t, tt.skipped, v.KeyStats().Skipped, name)
			require.Zero(t, v.KeyStats().FetchErrors, name)
			require.Equal(t, tt.skipped > 0, strings.Contains(log.String(), "are skipped"), "%s: %s", name, log.String())
			server.Close()
		}
	}
	require.Empty(t, fetched, "nothing is fetched but the set")
}

// TestKeysOfOneIDAreToldApartByTheirAlgorithm: RFC 7517, 4.5 lets them share it.
func TestKeysOfOneIDAreToldApartByTheirAlgorithm(t *testing.T) {
	t.Parallel()
	first, _ := newSigner(t, "k")
	second, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	text, err := json.Marshal(map[string]any{"keys": []any{jwk(t, "k", first, nil), jwk(t, "k", second, nil)}})
	require.NoError(t, err)
	s := &jwksServer{}
	s.set.Store(text)
	server := httptest.NewServer(s)
	defer server.Close()
	set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL})
	require.NoError(t, err)
	for _, algorithm := range []string{"ES256", "ES384"} {
		keys, err := set.Candidates(t.Context(), "k", algorithm)
		require.NoError(t, err)
		require.Len(t, keys, 1, algorithm)
	}
}

// TestKeySetsThatAreRefused: what was known before goes on working, whatever the
// server answers.
func TestKeySetsThatAreRefused(t *testing.T) {
	t.Parallel()
	signer, good := newSigner(t, "good")
	token, err := auth.Sign(good, auth.Claims{Subject: "alice", TTL: time.Hour})
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		says   string
	}{
		"endless": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"keys":[`)
			for line := strings.Repeat(" ", 64<<10); ; {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}, "larger than the limit of 1048576 bytes"},
		"no set":     {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"error":"maintenance"}`) }, "not a JSON Web Key Set"},
		"null":       {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"keys":null}`) }, "not a JSON Web Key Set"},
		"HTML":       {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `<html>`) }, "not a JSON Web Key Set"},
		"two values": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"keys":[]}{"keys":[]}`) }, "not a JSON Web Key Set"},
		"empty":      {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"keys":[]}`) }, "no key that can be used: it is empty"},
		"other use": {func(w http.ResponseWriter) {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(t, "good", signer, map[string]any{"use": "enc"})}})
		}, "none of its 1 is for checking signatures"},
		"other kinds": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"keys":[{"kty":"AKP","kid":"pq","alg":"ML-DSA-44","pub":"AAAA"},{"kty":"oct","kid":"good","k":"AAAA"}]}`)
		}, "no key that can be used, of 2: key 1, kid"},
		"server error": {func(w http.ResponseWriter) { http.Error(w, "down", http.StatusServiceUnavailable) }, "503"},
	} {
		var broken atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if broken.Load() {
				tt.answer(w)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(t, "good", signer, nil)}})
		}))
		log := new(local.Log)
		set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL + "/keys?api-key=hunter2", Logger: logger(log)})
		require.NoError(t, err, name)
		broken.Store(true)
		_, err = set.Candidates(t.Context(), "unknown", "ES256") // fetches again
		require.ErrorContains(t, err, `no key "unknown"`, name)
		require.Contains(t, log.String(), tt.says, name)
		require.NotContains(t, log.String(), "hunter2", name)
		require.Equal(t, auth.KeyStats{Keys: 1, FetchErrors: 1}, set.Stats(), name)
		_, err = verifier(t, auth.VerifierOptions{Keys: set}).Verify(t.Context(), token)
		require.NoError(t, err, name)
		server.Close()
	}
}

// TestAKeySetIsFetchedAgainAfterAFailure, without a token that asks for it: at the start no token
// gets in, and the alert StompboxKeysMissing looks for failures that go on.
func TestAKeySetIsFetchedAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	signer, key := newSigner(t, "k1")
	token, err := auth.Sign(key, auth.Claims{Subject: "alice", TTL: time.Hour})
	require.NoError(t, err)
	var works atomic.Bool
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if !works.Load() && n%2 == 1 {
			_, _ = io.WriteString(w, `{"keys":[]}`)
			return
		}
		if !works.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(t, "k1", signer, nil)}})
	}))
	defer server.Close()
	set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL, UnknownKeyEvery: time.Millisecond, Logger: logger(new(local.Log))})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return set.Stats().FetchErrors > 2 }, 30*time.Second, time.Millisecond)
	works.Store(true)
	require.Eventually(t, func() bool { return set.Stats().Keys == 1 }, 30*time.Second, time.Millisecond)
	fetches := asked.Load()
	_, err = verifier(t, auth.VerifierOptions{Keys: set}).Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, fetches, asked.Load(), "what works is not fetched again before its time")
}

// TestRedirectsOfKeySets are followed to the same https host alone.
func TestRedirectsOfKeySets(t *testing.T) {
	t.Parallel()
	signer, _ := newSigner(t, "good")
	serve := func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(t, "good", signer, nil)}})
	}
	plain, elsewhere := httptest.NewServer(http.HandlerFunc(serve)), httptest.NewTLSServer(http.HandlerFunc(serve))
	defer plain.Close()
	defer elsewhere.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(serve))
	defer secure.Close()
	trusted := secure.Client().Transport.(*http.Transport).TLSClientConfig // of all servers of httptest
	loop := "/?to=" + url.QueryEscape("/?to="+url.QueryEscape("/?to="+url.QueryEscape("/?to="+url.QueryEscape("/?to=/"))))
	for _, tt := range []struct {
		from, to string
		keys     int64
	}{
		{secure.URL, "/", 1},
		{secure.URL, secure.URL + "/keys", 1},
		{secure.URL, loop, 0},
		{secure.URL, elsewhere.URL, 0},
		{secure.URL, plain.URL, 0},
		{plain.URL, "/", 0},
		{plain.URL, secure.URL, 0},
	} {
		set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: tt.from + "/?to=" + url.QueryEscape(tt.to), TLS: trusted, Logger: logger(new(local.Log))})
		require.NoError(t, err)
		require.Equal(t, tt.keys, set.Stats().Keys, "from %s to %s", tt.from, tt.to)
	}
}

func TestKeySetsOverPlainHTTPNeedASetting(t *testing.T) {
	t.Parallel()
	for text, permitted := range map[string]bool{
		"http://127.0.0.1:1/": true, "http://[::1]:1/": true, "http://localhost:1/": true,
		"http://127.0.0.1.example:1/": false, "http://localhost.example:1/": false, "http://0.0.0.0:1/": false, "http://10.0.0.1:1/": false,
	} {
		_, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: text, Logger: logger(new(local.Log))})
		if permitted {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, "auth.jwt.jwks_allow_http", text)
	}
	set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: "http://127.0.0.1.example:1/", AllowHTTP: true, Logger: logger(new(local.Log))})
	require.NoError(t, err)
	require.EqualValues(t, 1, set.Stats().FetchErrors)
}

// TestASetHasAHundredKeys: a token without a kid is tried with all of them.
func TestASetHasAHundredKeys(t *testing.T) {
	t.Parallel()
	signer, _ := newSigner(t, "")
	var keys []any
	for i := range 101 {
		keys = append(keys, jwk(t, fmt.Sprint(i), signer, nil))
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	s := &jwksServer{}
	s.set.Store(text)
	server := httptest.NewServer(s)
	defer server.Close()
	set, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL, Logger: logger(new(local.Log))})
	require.NoError(t, err)
	require.Equal(t, auth.KeyStats{Keys: 100, Skipped: 1}, set.Stats())
}
