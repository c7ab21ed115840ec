package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// algorithms are those that a key can be pinned to. "none" is not among them.
var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512", "EdDSA",
}

// longestToken bounds the bytes that are parsed before a signature was checked.
const longestToken = 16 << 10

// VerifierOptions configure which tokens are accepted, and how to read them.
type VerifierOptions struct {
	// Keys verify signatures.
	Keys Keys
	// Issuer is the only accepted iss. Empty accepts any.
	Issuer string
	// Audience lists accepted values of aud. Empty accepts any.
	Audience []string
	// Leeway is how far clocks may differ, for exp, nbf and iat. Sessions end
	// at exp plus Leeway too.
	Leeway time.Duration
	// PrincipalClaim is the name of the claim with the user's name. Default
	// [DefaultPrincipalClaim].
	PrincipalClaim string
	// PermissionsClaim holds Grants. Default [DefaultPermissionsClaim].
	PermissionsClaim string
	// RolesClaim is the name of the claim with a role or a list of roles.
	RolesClaim string
	// Roles are grants by name, which are found as [Roles.Find] says.
	Roles Roles
	// RequiredClaims are claims that must be present and neither null, false nor empty.
	RequiredClaims []string
	// DefaultGrants are for tokens with neither permissions nor a known role.
	DefaultGrants Grants
}

// Verifier checks tokens and returns their principals. It is safe for concurrent use.
type Verifier struct {
	o       VerifierOptions
	roles   roleIndex
	sources []keySource // of its keys; nil where that is not known
	parser  *jwt.Parser
}

// The default names of the claims for the user and the permissions.
const (
	DefaultPrincipalClaim   = "sub"
	DefaultPermissionsClaim = "stompbox"
)

// NewVerifier checks the options. Errors name the invalid one.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	o.PrincipalClaim = cmp.Or(o.PrincipalClaim, DefaultPrincipalClaim)
	o.PermissionsClaim = cmp.Or(o.PermissionsClaim, DefaultPermissionsClaim)
	if o.Keys == nil {
		return nil, errors.New("no keys to verify tokens with")
	}
	for name, grants := range o.Roles {
		if _, err := NewPermissions(grants, "user"); err != nil {
			return nil, fmt.Errorf("role %q: %w", name, err)
		}
	}
	if _, err := NewPermissions(o.DefaultGrants, "user"); err != nil {
		return nil, fmt.Errorf("default permissions: %w", err)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms),
		jwt.WithLeeway(o.Leeway),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if len(o.Audience) > 0 {
		options = append(options, jwt.WithAudience(o.Audience...))
	}
	from, _ := sources(o.Keys)
	return &Verifier{o: o, roles: o.Roles.index(), sources: from, parser: jwt.NewParser(options...)}, nil
}

// Verify returns the principal of a token. Errors wrap [ErrUnauthenticated] and have the precise
// reason, without the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	if len(token) > longestToken {
		return nil, refuse(fmt.Errorf("the token has %d bytes; at most %d are read", len(token), longestToken))
	}
	claims := new(claims)
	var candidates []Key
	parsed, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		var err error
		candidates, err = v.keysFor(ctx, t)
		set := jwt.VerificationKeySet{Keys: make([]jwt.VerificationKey, len(candidates))}
		for i := range candidates {
			set.Keys[i] = candidates[i].verify
		}
		return set, err
	})
	if err != nil {
		return nil, refuse(err)
	}
	p, err := v.principal(claims)
	if err != nil {
		return nil, refuse(err)
	}
	p.shown.source = signerOf(candidates, parsed, token).source
	return p, nil
}

// signerOf returns which of the keys a token is signed with that one of them has signed.
func signerOf(keys []Key, t *jwt.Token, token string) Key {
	text := token[:strings.LastIndexByte(token, '.')]
	for _, key := range keys[:len(keys)-1] {
		if t.Method.Verify(text, t.Signature, key.verify) == nil {
			return key
		}
	}
	return keys[len(keys)-1]
}

// KeyStats are counts of the published keys that v uses.
func (v *Verifier) KeyStats() KeyStats { return statsOf(v.o.Keys) }

// keysFor returns the keys whose pinned algorithm is the token's. It refuses tokens
// that must not be taken without an extension (RFC 7515, 4.1.11): there are none here.
func (v *Verifier) keysFor(ctx context.Context, t *jwt.Token) ([]Key, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("the token's header crit demands extensions, none of which is supported")
	}
	if encoded, ok := t.Header["b64"]; ok && encoded != true { // RFC 7797, 7: not for JWTs
		return nil, errors.New("the token's header b64 says that its claims are not encoded")
	}
	kid, isText := t.Header["kid"].(string)
	if _, ok := t.Header["kid"]; ok && !isText {
		return nil, errors.New("the token's header kid is not text")
	}
	keys, err := v.o.Keys.Candidates(ctx, kid, t.Method.Alg())
	if err != nil {
		return nil, err
	}
	var fitting []Key
	for _, k := range keys {
		if k.Algorithm == t.Method.Alg() {
			fitting = append(fitting, k)
		}
	}
	if len(fitting) == 0 {
		return nil, fmt.Errorf("no key for kid %s with algorithm %s", quote(kid), t.Method.Alg())
	}
	return fitting, nil
}

func (v *Verifier) principal(claims *claims) (*Principal, error) {
	for _, name := range v.o.RequiredClaims {
		if !claims.has(name) {
			return nil, fmt.Errorf("the token has no claim %q, or it is empty or false", name)
		}
	}
	name, _ := claims.MapClaims[v.o.PrincipalClaim].(string)
	if name == "" {
		return nil, fmt.Errorf("the token's claim %q, which names the principal, is missing or not text", v.o.PrincipalClaim)
	}
	if strings.ContainsRune(name, utf8.RuneError) { // two such names would be one user
		return nil, fmt.Errorf("the token's claim %q is not UTF-8", v.o.PrincipalClaim)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return nil, err
	}
	own, err := v.ownGrants(claims.MapClaims)
	if err != nil {
		return nil, err
	}
	said := &shown{own: own, roles: shareTexts(roleNames(claims.MapClaims[v.o.RolesClaim]))}
	permissions, err := NewPermissions(v.grants(said), name)
	if err != nil {
		return nil, fmt.Errorf("the token's permissions: %w", err)
	}
	id, _ := claims.MapClaims["jti"].(string)
	return &Principal{Name: name, Permissions: permissions, Expires: expires.Add(v.o.Leeway), TokenID: id, Method: "jwt", shown: said}, nil
}

// ownGrants are the token's own permissions, or nil where it says nothing of them.
func (v *Verifier) ownGrants(claims jwt.MapClaims) (*Grants, error) {
	own, ok := claims[v.o.PermissionsClaim]
	if !ok {
		return nil, nil
	}
	grants := new(Grants)
	text, err := json.Marshal(own)
	if err == nil {
		err = json.Unmarshal(text, grants)
	}
	if err != nil {
		return nil, fmt.Errorf(`the token's claim %q is not {"send": [...], "subscribe": [...], "serve": [...]}`, v.o.PermissionsClaim)
	}
	return &Grants{Send: shareTexts(grants.Send), Subscribe: shareTexts(grants.Subscribe), Serve: shareTexts(grants.Serve)}, nil
}

// grants adds up the token's own permissions and those of its roles; a token
// with neither has the default.
func (v *Verifier) grants(token *shown) Grants {
	var grants Grants
	said := token.own != nil
	if said {
		grants = *token.own
	}
	for _, name := range token.roles {
		role, ok := v.roles.find(name)
		if !ok {
			continue // roles of other systems travel in the same claim
		}
		said = true
		grants.Send = slices.Concat(grants.Send, role.Send)
		grants.Subscribe = slices.Concat(grants.Subscribe, role.Subscribe)
		grants.Serve = slices.Concat(grants.Serve, role.Serve)
	}
	if !said {
		return v.o.DefaultGrants
	}
	return grants
}

func roleNames(claim any) []string {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case []any:
		var names []string
		for _, element := range c {
			if name, ok := element.(string); ok {
				names = append(names, name)
			}
		}
		return names
	}
	return nil
}
