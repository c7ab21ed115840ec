package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
)

// newAuthenticator builds what auth describes. Key sets are fetched until ctx is done.
func newAuthenticator(ctx context.Context, c *config.Config, log *slog.Logger) (*auth.Authenticator, error) {
	a := new(auth.Authenticator)
	logins, err := c.StaticLogins()
	if err == nil && len(logins) > 0 {
		a.Logins, err = auth.NewLogins(logins)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: auth.logins: %w", err)
	}
	if a.Logins != nil {
		a.Logins.LimitFailures(c.Limits.AddressFailedLogins, c.Limits.UserFailedLogins)
	}
	keys, err := newKeys(ctx, c, log)
	if err != nil || len(keys) == 0 {
		return a, err
	}
	j := c.Auth.JWT
	a.Tokens, err = auth.NewVerifier(auth.VerifierOptions{
		Keys: keys, Issuer: j.Issuer, Audience: j.Audience, Leeway: j.Leeway, RequiredClaims: j.RequiredClaims,
		PrincipalClaim: j.PrincipalClaim, PermissionsClaim: j.PermissionsClaim, RolesClaim: j.RolesClaim,
		Roles: c.Auth.Roles, DefaultGrants: c.DefaultGrants(),
	})
	if err != nil {
		return nil, fmt.Errorf("configuration: auth: %w", err)
	}
	return a, nil
}

func newKeys(ctx context.Context, c *config.Config, log *slog.Logger) (auth.MultiKeys, error) {
	static, err := c.StaticKeys()
	if err != nil {
		return nil, err
	}
	var keys auth.MultiKeys
	if len(static) > 0 {
		keys = append(keys, auth.StaticKeys(static))
	}
	if j := c.Auth.JWT; j.JWKSURL != "" {
		set, err := auth.NewJWKS(ctx, auth.JWKSOptions{URL: j.JWKSURL, AllowHTTP: j.JWKSAllowHTTP, Refresh: j.JWKSRefresh, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("configuration: auth.jwt.jwks_url: %w", err)
		}
		keys = append(keys, set)
	}
	return keys, nil
}

// sign makes a token as a node of this configuration would accept it, with the first key
// that can sign. Without any it uses the key of development mode, and dev is true.
func sign(c *config.Config, user string, claims auth.Claims) (token string, dev bool, err error) {
	keys, err := c.StaticKeys()
	if err != nil {
		return "", false, err
	}
	j := c.Auth.JWT
	switch {
	case len(keys) > 0:
	case j.JWKSURL != "":
		return "", false, fmt.Errorf("the configuration has no key that can sign; tokens come from who publishes %s", j.JWKSURL)
	default:
		key, err := config.DevKey()
		if err != nil {
			return "", false, err
		}
		keys, dev = []auth.Key{key}, true
	}
	claims.Subject = user
	claims.Issuer, claims.PrincipalClaim, claims.PermissionsClaim = j.Issuer, j.PrincipalClaim, j.PermissionsClaim
	if len(j.Audience) > 0 {
		claims.Audience = j.Audience[:1]
	}
	token, err = auth.Sign(keys[0], claims)
	return token, dev || c.Dev, err
}
