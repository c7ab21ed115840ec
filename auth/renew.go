package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Renew returns a principal of another Authenticator as a has it: with the permissions
// that its token or its login has here. It returns an error that wraps
// [ErrUnauthenticated] where a has no such login, where the login has another
// passcode, or where the key or the key set that the token was checked with is not among
// its own. Of a token nothing else is checked again, and it ends when it did. A principal that no
// Authenticator made is returned as it is.
func (a *Authenticator) Renew(p *Principal) (*Principal, error) {
	switch {
	case p.shown == nil:
		return p, nil
	case p.Method == "certificate":
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

// Replaceable is an [Authenticator] that can be replaced by another one while clients
// come and go. It is safe for concurrent use.
type Replaceable struct{ current atomic.Pointer[Authenticator] }

// NewReplaceable begins with a.
func NewReplaceable(a *Authenticator) *Replaceable {
	r := new(Replaceable)
	r.Replace(a)
	return r
}

// Replace has a check all credentials from now on. For those of sessions that are open,
// give [Authenticator.Renew] of a to the broker.
func (r *Replaceable) Replace(a *Authenticator) { r.current.Store(a) }

// Current returns the Authenticator of now.
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
