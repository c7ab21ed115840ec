package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stompbox/stompbox/destination"
)

// Principal is an authenticated user or program. It is immutable.
type Principal struct {
	// Name is the user's name. The user's destinations are /user/<Name>/...
	Name string
	// Permissions say what the principal may do.
	Permissions Permissions
	// Expires is when the credentials expire and the session ends. The zero time means never.
	Expires time.Time
	// TokenID is the jti claim of its token, or "".
	TokenID string
	// Method is how it was authenticated: "jwt", "login" or [MethodCertificate].
	Method string
	// Relay means that the session belongs to a client of a relay, not to the relay's own user.
	// CONNECTED then has no user-name.
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

// Credentials are those of a CONNECT frame.
type Credentials struct {
	// Authorization is the value of an Authorization header: "Bearer <token>".
	Authorization string
	// Login and Passcode are the STOMP headers. The passcode may be a token.
	Login, Passcode string
	// Remote is the address of the peer, with or without a port. Passcodes are checked
	// round-robin by address; all peers without an address count as one.
	Remote string
	// Certificate is the peer's TLS client certificate, or nil.
	Certificate *Certificate
}

// ErrUnauthenticated is wrapped by every refusal of credentials, so that callers can distinguish
// it from a failure. Clients get only its text. The wrapping error has the precise reason, for
// the log.
var ErrUnauthenticated = errors.New("authentication failed")

// MaxName is the maximum length of a user's name, as counted by destination.EncodedLen. The name
// becomes a word of destinations.
const MaxName = 1024

// ErrNameTooLong is wrapped, together with [ErrUnauthenticated], if a name is longer than
// [MaxName]. Its text is for the client, because the credentials were valid.
var ErrNameTooLong = fmt.Errorf("the user's name takes more than %d bytes when it is encoded in a destination", MaxName)

// checkName refuses NUL too, which names have that are the broker's own.
func checkName(name string) error {
	if strings.ContainsRune(name, 0) {
		return errors.New("the user's name has a NUL character")
	}
	if err := destination.CheckEncoded(destination.EscapeSegment(name), MaxName); err != nil {
		return fmt.Errorf("%w: %w", ErrNameTooLong, err)
	}
	return nil
}
