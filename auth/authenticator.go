package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stompbox/stompbox/internal/histogram"
)

// Authenticator checks credentials against tokens and static logins. Either may
// be nil. It is safe for concurrent use.
type Authenticator struct {
	Tokens *Verifier
	Logins *Logins
	// Certificates checks client certificates again in [Authenticator.Renew]. If nil, none are
	// accepted.
	Certificates CertificateChecker

	verified histogram.Histogram
}

// Authenticate returns the owner of the credentials. A login with a passcode takes precedence
// over an Authorization header, because relays forward that header from their own clients. If the
// login is configured, its passcode is checked; otherwise the passcode has to be a token. A
// certificate is accepted for the login that it names, if that login has Certificate set and the
// login header is the same or empty. Otherwise the Authorization header has to be a bearer token.
// Without static logins only tokens are accepted. All errors wrap [ErrUnauthenticated], except a
// *BusyError and the error of a context.
func (a *Authenticator) Authenticate(ctx context.Context, c Credentials) (*Principal, error) {
	if a.Logins.byCertificate(c) {
		return a.Logins.ofCertificate(c.Certificate), nil
	}
	byLogin := c.Login != "" && c.Passcode != "" && (a.Logins != nil || looksLikeToken(c.Passcode))
	if c.Authorization != "" && !byLogin {
		token, ok := bearer(c.Authorization)
		if !ok {
			return nil, refuse(errors.New("the Authorization header is not Bearer and a token"))
		}
		return a.token(ctx, token)
	}
	if c.Login == "" && c.Passcode == "" {
		if c.Certificate != nil {
			return nil, refuse(fmt.Errorf("the name %q of the certificate is not that of a login with certificate: true", c.Certificate.Name))
		}
		return nil, refuse(errors.New("no credentials: neither Authorization, nor login and passcode"))
	}
	if looksLikeToken(c.Passcode) && !a.Logins.Has(c.Login) {
		return a.token(ctx, c.Passcode)
	}
	if a.Logins == nil {
		return nil, refuse(errors.New("static logins are not configured, and the passcode is not a token"))
	}
	return a.Logins.Authenticate(ctx, c)
}

// Stats are counts of an Authenticator.
type Stats struct {
	// Keys are counts of published keys, and Logins of static logins.
	Keys   KeyStats
	Logins LoginStats
	// Verified is the time that it took to verify tokens, both valid and invalid ones.
	Verified histogram.Snapshot
}

// Stats returns the counts as they are now. It is safe for concurrent use.
func (a *Authenticator) Stats() Stats {
	s := Stats{Logins: a.Logins.Stats(), Verified: a.verified.Snapshot()}
	if a.Tokens != nil {
		s.Keys = a.Tokens.KeyStats()
	}
	return s
}

// Refresh returns the principal of a fresh token. The token must be for the same subject as the
// old principal.
func (a *Authenticator) Refresh(ctx context.Context, old *Principal, token string) (*Principal, error) {
	fresh, err := a.token(ctx, strings.TrimSpace(token))
	if err != nil {
		return nil, err
	}
	if fresh.Name != old.Name {
		return nil, refuse(fmt.Errorf("the fresh token is for %q, the session belongs to %q", fresh.Name, old.Name))
	}
	return fresh, nil
}

func (a *Authenticator) token(ctx context.Context, token string) (*Principal, error) {
	if a.Tokens == nil {
		return nil, refuse(errors.New("a token was given, but no key for tokens is configured"))
	}
	defer a.verified.Since(time.Now())
	return a.Tokens.Verify(ctx, token)
}

func bearer(value string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(strings.TrimSpace(value), " ")
	token = strings.TrimSpace(token)
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

func looksLikeToken(s string) bool {
	return strings.Count(s, ".") == 2 && strings.HasPrefix(s, "ey")
}

// refuse wraps the precise reason of a refusal, which is cut where it is long: a token
// may have its say in it.
func refuse(reason error) error {
	if text := reason.Error(); len(text) > maxReason {
		reason = errors.New(truncate(text))
	}
	return fmt.Errorf("%w: %w", ErrUnauthenticated, reason)
}
