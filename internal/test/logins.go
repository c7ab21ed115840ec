package test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stompbox/stompbox/auth"
)

// BusyLogins has no time to check any login of a peer whose address it is given, and
// takes tokens.
type BusyLogins struct{ *auth.Authenticator }

// NewBusyLogins returns one that takes the tokens of Authenticator.
func NewBusyLogins(t testing.TB) BusyLogins { return BusyLogins{Authenticator(t)} }

// Authenticate is auth.Authenticator's.
func (b BusyLogins) Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	if remote, err := netip.ParseAddrPort(c.Remote); err == nil && remote.Addr().IsLoopback() && c.Login != "" {
		return nil, &auth.BusyError{RetryAfter: 6500 * time.Millisecond}
	}
	return b.Authenticator.Authenticate(ctx, c)
}
