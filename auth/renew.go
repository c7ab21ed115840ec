package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Renew returns the principal of another Authenticator with the permissions that its token or
// login has in a. The error wraps [ErrUnauthenticated] if a has no such login, if the login has
// another passcode, or if a does not have the key or key set that verified the token. Nothing
// else about a token is checked again, and it keeps its expiry. A principal that no Authenticator
// made is returned unchanged.
func (a *Authenticator) Renew(p *Principal) (*Principal, error) {
	switch {
	case p.shown == nil:
		return p, nil
	case p.Method == MethodCertificate:
		return a.renewCertificate(p)
	case p.Method == "login":
		return a.Logins.renew(p)
	case a.Tokens == nil:
		return nil, refuse(errors.New("no key for tokens is configured any more"))
	}
	return a.Tokens.renew(p)
}

func (l *Logins) renew(p *Principal) (*Principal, error) {
	if !l.Has(p.Name) {
		return nil, refuse(fmt.Errorf("login %q is not configured any more", p.Name))
	}
	now := l.byName[p.Name]
	if !bytes.Equal(now.hash, p.shown.hash) {
		return nil, refuse(fmt.Errorf("login %q has another passcode now", p.Name))
	}
	return now.principal, nil
}

func (v *Verifier) renew(p *Principal) (*Principal, error) {
	if v.sources != nil && !slices.Contains(v.sources, p.shown.source) {
		return nil, refuse(errors.New("the key that the token was checked with is not configured any more"))
	}
	permissions, err := NewPermissions(v.grants(p.shown), p.Name)
	if err != nil {
		return nil, refuse(fmt.Errorf("the token's permissions: %w", err))
	}
	renewed := *p
	renewed.Permissions = permissions
	return &renewed, nil
}

// Replaceable is an Authenticator that can be replaced while clients connect. It is safe for
// concurrent use.
type Replaceable struct{ current atomic.Pointer[Authenticator] }

// NewReplaceable begins with a.
func NewReplaceable(a *Authenticator) *Replaceable {
	r := new(Replaceable)
	r.Replace(a)
	return r
}

// Replace makes a check all credentials from now on. For open sessions, pass
// [Authenticator.Renew] of a to the broker.
func (r *Replaceable) Replace(a *Authenticator) { r.current.Store(a) }

// Current returns the current Authenticator.
func (r *Replaceable) Current() *Authenticator { return r.current.Load() }

// Authenticate is [Authenticator.Authenticate].
func (r *Replaceable) Authenticate(ctx context.Context, c Credentials) (*Principal, error) {
	return r.Current().Authenticate(ctx, c)
}

// Refresh is [Authenticator.Refresh].
func (r *Replaceable) Refresh(ctx context.Context, old *Principal, token string) (*Principal, error) {
	return r.Current().Refresh(ctx, old, token)
}

// Stats is [Authenticator.Stats].
func (r *Replaceable) Stats() Stats { return r.Current().Stats() }
