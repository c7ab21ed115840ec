package auth

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are what a token says. Its dates are clamped to what a time.Time can be
// compared and added to, so that no number in a token wraps around.
type claims struct{ jwt.MapClaims }

var _ jwt.Claims = (*claims)(nil)

func (c *claims) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &c.MapClaims) }

// GetExpirationTime, GetNotBefore and GetIssuedAt are what the parser checks.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.date("nbf") }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.date("iat") }

// minDate and maxDate are the first second of the year 1, and the last of 9999.
const (
	minDate = -62135596800
	maxDate = 253402300799
)

// date returns the claim of that name, or nil where there is none.
func (c *claims) date(name string) (*jwt.NumericDate, error) {
	value, ok := c.MapClaims[name]
	if !ok {
		return nil, nil
	}
	seconds, ok := value.(float64)
	if !ok {
		return nil, fmt.Errorf("the claim %q is not a number of seconds since 1970", name)
	}
	seconds = math.Floor(min(max(seconds, minDate), maxDate))
	return &jwt.NumericDate{Time: time.Unix(int64(seconds), 0)}, nil
}

// has reports whether the token says something of that name. An issuer that has nothing to say, or
// says that something is not so, writes null, false, an empty text or an empty list.
func (c *claims) has(name string) bool { return saysSomething(c.MapClaims[name]) }

func saysSomething(claim any) bool {
	switch c := claim.(type) {
	case nil:
		return false
	case bool:
		return c
	case string:
		return strings.TrimSpace(c) != ""
	case []any:
		return slices.ContainsFunc(c, saysSomething)
	case map[string]any:
		return len(c) > 0
	}
	return true
}
