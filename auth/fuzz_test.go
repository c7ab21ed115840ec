package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
)

// FuzzToken signs whatever header and claims there are, with the right key, and holds that
// what is accepted is what the documents say. A token that is not signed never is.
func FuzzToken(f *testing.F) {
	header := `{"alg":"HS256","typ":"JWT","kid":"main"}`
	for _, claims := range []string{
		`{"sub":"alice","exp":9999999999,"tenant":"t"}`,
		`{"sub":"alice","exp":1e300,"nbf":-1e300,"iat":0,"tenant":[],"roles":["staff","ROLE_ADMIN",7],"stompbox":{"send":["/topic/{user}"]}}`,
		`{"sub":"a/b*>%","exp":253402300800.5,"tenant":{},"roles":"STAFF","stompbox":null}`,
		`{"sub":"alice","exp":null,"tenant":null}`, `{"exp":"9999999999"}`, `null`, `[]`, `7`, `{"sub":"alice","exp":1e400}`,
	} {
		f.Add(header, claims, true)
		f.Add(header, claims, false)
	}
	for _, header := range []string{
		`{"alg":"HS256","crit":["b64"],"b64":false}`, `{"alg":"HS256","crit":null}`, `{"alg":"none"}`, `{"alg":"HS512"}`, `{"alg":"HS256","kid":7}`,
		`{"alg":"HS256","kid":"` + strings.Repeat("k", 300) + `"}`, `{"alg":"HS256","kid":"` + strings.Repeat("\xc7", 4000) + `"}`, `{"alg":["HS256"]}`, `null`, `{"alg":"HS256","alg":"none"}`, `{"ALG":"HS256"}`,
	} {
		f.Add(header, `{"sub":"alice","exp":9999999999,"tenant":"t"}`, true)
	}
	v := verifier(f, auth.VerifierOptions{
		Keys: auth.StaticKeys{secretKey(f, "main", "HS256")}, RequiredClaims: []string{"tenant"}, RolesClaim: "roles", Leeway: time.Minute,
		Roles: auth.Roles{"Staff": {Send: []string{"/topic/staff"}}, "ROLE_ADMIN": auth.AllGrants()}, DefaultGrants: auth.DefaultGrants(),
	})
	a := &auth.Authenticator{Tokens: v}
	f.Fuzz(func(t *testing.T, header, claims string, signed bool) {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		mac := hmac.New(sha256.New, secret)
		if !signed {
			mac = hmac.New(sha256.New, []byte("another"))
		}
		mac.Write([]byte(text))
		token := text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		p, err := a.Authenticate(t.Context(), auth.Credentials{Authorization: "Bearer " + token})
		if err != nil {
			require.ErrorIs(t, err, auth.ErrUnauthenticated)
			require.Less(t, len(err.Error()), 500)
			for part := range strings.SplitSeq(token, ".") {
				require.False(t, len(part) > 20 && strings.Contains(err.Error(), part), "the error shows the token")
			}
			return
		}
		require.True(t, signed)
		require.NoError(t, mayBeAccepted(header, claims, p))
	})
}

// mayBeAccepted looks at a token in its own way.
func mayBeAccepted(header, claims string, p *auth.Principal) error {
	var h, c map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal([]byte(header), &h), json.Unmarshal([]byte(claims), &c)); err != nil {
		return err
	}
	var alg, sub string
	var exp float64
	if err := errors.Join(json.Unmarshal(h["alg"], &alg), json.Unmarshal(c["sub"], &sub), json.Unmarshal(c["exp"], &exp)); err != nil {
		return err
	}
	now := time.Now()
	switch {
	case alg != "HS256":
		return errors.New("another algorithm")
	case h["crit"] != nil:
		return errors.New("it has a crit header")
	case sub == "" || sub != p.Name:
		return errors.New("another name")
	case exp < float64(now.Add(-2*time.Minute).Unix()):
		return errors.New("it has ended")
	case p.Expires.Before(now) || p.Expires.Year() > 10000:
		return errors.New("its end wrapped around")
	case len(c["tenant"]) == 0 || string(c["tenant"]) == "null":
		return errors.New("the required claim is not there")
	case p.Permissions.MaySend("/topic/of-admins") && !strings.Contains(claims, "/") && !strings.Contains(strings.ToLower(claims), "admin") && !strings.Contains(claims, `\`):
		return errors.New("it may do more than it says")
	}
	return nil
}

// FuzzTokenText holds that nothing is a token but what was signed.
func FuzzTokenText(f *testing.F) {
	good, err := auth.Sign(secretKey(f, "", ""), auth.Claims{Subject: "alice", TTL: 24 * time.Hour})
	require.NoError(f, err)
	parts := strings.Split(good, ".")
	for _, text := range []string{good + "x", parts[0] + "." + parts[1] + ".", parts[0] + ".." + parts[2], "..", "", "Bearer", strings.Repeat(".", 100), strings.Repeat("ey", 9000)} {
		f.Add(text)
	}
	a := &auth.Authenticator{Tokens: verifier(f, auth.VerifierOptions{Keys: auth.StaticKeys{secretKey(f, "", "HS256")}})}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range []auth.Credentials{{Authorization: "Bearer " + text}, {Authorization: text}, {Passcode: text}, {Login: text, Passcode: text}, {Login: text}} {
			_, err := a.Authenticate(t.Context(), c)
			require.ErrorIs(t, err, auth.ErrUnauthenticated)
			require.Less(t, len(err.Error()), 500)
			require.False(t, len(text) > 40 && strings.Contains(err.Error(), text), "the error shows the credentials")
		}
	})
}
