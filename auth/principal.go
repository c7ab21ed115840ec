package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/stompbox/stompbox/destination"
)

// Principal is an authenticated user or program. It is immutable.
type Principal struct {
	// Name is who it is; /user/<Name>/... are its destinations.
	Name string
	// Permissions are what it may do.
	Permissions Permissions
	// Expires is when its credentials end, and with them its session. The zero
	// time means never.
	Expires time.Time
	// TokenID is the jti claim of its token, or "".
	TokenID string
	// Method is how it was authenticated, "jwt", "login" or "certificate", for logs.
	Method string
	// Relay says that others speak through it, who are not to be taken for it:
	// CONNECTED does not name it.
	Relay bool

	shown *shown // nil where nothing is known of it
}

// shown is what is kept of a token or a login, for [Authenticator.Renew].
type shown struct {
	source keySource // of a token
	own    *Grants   // the token's own permissions; nil where it says nothing of them
	roles  []string  // that the token names
	hash   []byte    // of a login's passcode
	chain  []*x509.Certificate
}

// Credentials are what a client showed in its CONNECT frame.
type Credentials struct {
	// Authorization is the value of an Authorization header: "Bearer <token>".
	Authorization string
	// Login and Passcode are STOMP's own headers. The passcode may be a token.
	Login, Passcode string
	// Remote is the address of the peer, with or without a port. Peers take turns in
	// having passcodes checked; all without an address are one.
	Remote string
	// Certificate is what the peer has shown in TLS; nil where it has shown none.
	Certificate *Certificate
}

// ErrUnauthenticated is what every refusal of credentials wraps, so that a
// caller can tell it from a failure. Its text is all that a client may read;
// the wrapping error has the precise reason, for the log.
var ErrUnauthenticated = errors.New("authentication failed")

// MaxName is how long a user's name may be, as [destination.EncodedLen] counts: it
// becomes a word of destinations.
const MaxName = 1024

// ErrNameTooLong is what the refusal of a name over [MaxName] wraps beside
// ErrUnauthenticated. Its text is for the client: the credentials were right.
var ErrNameTooLong = fmt.Errorf("the user's name takes more than %d bytes when it is encoded in a destination", MaxName)

func checkName(name string) error {
	if err := destination.CheckEncoded(destination.EscapeSegment(name), MaxName); err != nil {
		return fmt.Errorf("%w: %w", ErrNameTooLong, err)
	}
	return nil
}
