package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
)

// authParts are an authenticator, and what it takes to replace it.
type authParts struct {
	authenticator *auth.Authenticator
	keySet        *auth.JWKS // nil where none is configured
	keySetURL     string
	cancel        context.CancelFunc // ends the refresh of the key set
	stale         bool               // the key set could not be fetched again, so it is the one of before
}

// staleWarning says what holds while the key set is stale.
func (p authParts) staleWarning() string {
	const failed = "the key set of auth.jwt.jwks_url could not be fetched, or has no key that can be used"
	if p.keySet.Stats().Keys == 0 {
		return failed + ", and there are no keys of before, so no token of its issuer is accepted; the log says why"
	}
	return failed + ", so the previous keys stay valid; the log says why"
}

// close ends the refresh of the key set.
func (p authParts) close() { p.closeUnlessOf(authParts{}) }

// closeUnlessOf is close, unless other parts use the same key set.
func (p authParts) closeUnlessOf(other authParts) {
	if p.cancel != nil && (p.keySet == nil || p.keySet != other.keySet) {
		p.cancel()
	}
}

// newAuthenticator builds what auth describes. Key sets are fetched until ctx is done.
func newAuthenticator(ctx context.Context, c *config.Config, log *slog.Logger) (*auth.Authenticator, error) {
	parts, err := newAuthParts(ctx, c, log, authParts{})
	return parts.authenticator, err
}

// newAuthParts builds what auth describes, to take the place of previous, which goes on
// until it is closed. A key set that could not be fetched is no error at the start; later
// the one before stays, or where the URL is another one it is an error.
func newAuthParts(ctx context.Context, c *config.Config, log *slog.Logger, previous authParts) (parts authParts, err error) {
	ctx, parts.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			parts.closeUnlessOf(previous)
		}
	}()
	a := new(auth.Authenticator)
	parts.authenticator = a
	logins, err := c.StaticLogins()
	if err == nil && len(logins) > 0 {
		a.Logins, err = auth.NewLogins(logins)
	}
	if err != nil {
		return parts, fmt.Errorf("configuration: auth.logins: %w", err)
	}
	if a.Logins != nil {
		if previous.authenticator != nil {
			a.Logins.Continue(previous.authenticator.Logins)
		}
		a.Logins.LimitFailures(c.Limits.AddressFailedLogins, c.Limits.UserFailedLogins)
	}
	keys, err := parts.newKeys(ctx, c, log, previous)
	if err != nil || len(keys) == 0 {
		return parts, err
	}
	j := c.Auth.JWT
	a.Tokens, err = auth.NewVerifier(auth.VerifierOptions{
		Keys: keys, Issuer: j.Issuer, Audience: j.Audience, Leeway: j.Leeway, RequiredClaims: j.RequiredClaims,
		PrincipalClaim: j.PrincipalClaim, PermissionsClaim: j.PermissionsClaim, RolesClaim: j.RolesClaim,
		Roles: c.Auth.Roles, DefaultGrants: c.DefaultGrants(),
	})
	if err != nil {
		return parts, fmt.Errorf("configuration: auth: %w", err)
	}
	return parts, nil
}

func (p *authParts) newKeys(ctx context.Context, c *config.Config, log *slog.Logger, previous authParts) (auth.MultiKeys, error) {
	static, err := c.StaticKeys()
	if err != nil {
		return nil, err
	}
	var keys auth.MultiKeys
	if len(static) > 0 {
		keys = append(keys, auth.StaticKeys(static))
	}
	if c.Auth.JWT.JWKSURL == "" {
		return keys, nil
	}
	if err := p.fetchKeySet(ctx, c.Auth.JWT, log, previous); err != nil {
		return nil, fmt.Errorf("configuration: auth.jwt.jwks_url: %w", err)
	}
	return append(keys, p.keySet), nil
}

// fetchKeySet fetches the key set, and leaves a set before it in its place where that fails.
func (p *authParts) fetchKeySet(ctx context.Context, j config.JWT, log *slog.Logger, previous authParts) error {
	set, err := auth.NewJWKS(ctx, auth.JWKSOptions{URL: j.JWKSURL, AllowHTTP: j.JWKSAllowHTTP, Refresh: j.JWKSRefresh, Logger: log})
	if err != nil {
		return err
	}
	p.keySet, p.keySetURL = set, j.JWKSURL
	if previous.authenticator == nil {
		return nil
	}
	if set.Stats().FetchErrors == 0 {
		set.Continue(previous.keySet)
		return nil
	}
	if previous.keySet != nil {
		previous.keySet.CountFailures(set)
	}
	if previous.keySetURL != j.JWKSURL {
		return errors.New("the key set could not be fetched, or has no key that can be used; the log says why")
	}
	// It keeps its refresh, and ends when these parts do.
	ended := p.cancel
	ended()
	p.keySet, p.cancel, p.stale = previous.keySet, previous.cancel, true
	return nil
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
