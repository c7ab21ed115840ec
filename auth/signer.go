package auth

import (
	"cmp"
	"crypto/rand"
	"errors"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are the contents of a token for Sign.
type Claims struct {
	Subject  string
	TTL      time.Duration
	Grants   Grants // left out of the token when empty
	Issuer   string
	Audience []string
	// PrincipalClaim and PermissionsClaim are as in [VerifierOptions].
	PrincipalClaim, PermissionsClaim string
	// Extra claims are added unchanged. If they have no jti, Sign adds one, by which the token
	// can be banned.
	Extra map[string]any
}

// Sign returns a token signed with the key, which needs its private part.
func Sign(key Key, c Claims) (string, error) {
	if key.sign == nil {
		return "", errors.New("the key has no private part, so it can verify tokens but not make them")
	}
	if c.Subject == "" {
		return "", errors.New("a token needs a user")
	}
	if c.TTL <= 0 {
		return "", errors.New("a token needs a time to live of more than zero")
	}
	c.PrincipalClaim = cmp.Or(c.PrincipalClaim, DefaultPrincipalClaim)
	c.PermissionsClaim = cmp.Or(c.PermissionsClaim, DefaultPermissionsClaim)
	now := time.Now()
	claims := jwt.MapClaims{"jti": rand.Text()}
	maps.Copy(claims, c.Extra)
	claims[c.PrincipalClaim] = c.Subject
	claims["iat"] = now.Unix()
	claims["exp"] = now.Add(c.TTL).Unix()
	if !c.Grants.Empty() {
		claims[c.PermissionsClaim] = c.Grants
	}
	if c.Issuer != "" {
		claims["iss"] = c.Issuer
	}
	if len(c.Audience) > 0 {
		claims["aud"] = c.Audience
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(key.Algorithm), claims)
	if key.ID != "" {
		token.Header["kid"] = key.ID
	}
	return token.SignedString(key.sign)
}
