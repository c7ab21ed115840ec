package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Key verifies tokens with one algorithm, and signs them if it has the private part. It is never
// used with another algorithm, so a public key cannot be misused as an HMAC secret.
type Key struct {
	// ID is compared with the kid header of tokens. An empty ID matches tokens without a kid, and
	// any token whose kid no other key has.
	ID string
	// Algorithm is the JWS name, such as HS256 or EdDSA.
	Algorithm string

	verify any // []byte or crypto.PublicKey, as golang-jwt wants it
	sign   any // []byte or crypto.Signer; nil for a public key
	source keySource
}

// keySource tells where a key comes from: a configured key is its own source, and published
// ones have the source of their set. It holds no secret that could be read back.
type keySource [sha256.Size]byte

func sourceOf(kind string, text []byte) keySource {
	h := sha256.New()
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(text)
	return keySource(h.Sum(nil))
}

// sources lists where keys come from, or reports that it is not known.
func sources(keys Keys) (all []keySource, known bool) {
	switch from := keys.(type) {
	case StaticKeys:
		for _, key := range from {
			all = append(all, key.source)
		}
	case *JWKS:
		all = append(all, from.source)
	case MultiKeys:
		for _, keys := range from {
			some, known := sources(keys)
			if !known {
				return nil, false
			}
			all = append(all, some...)
		}
	default:
		return nil, false
	}
	return all, true
}

// Keys finds the keys that may have signed a token.
type Keys interface {
	// Candidates returns the keys to try for a token with these headers. It may ask a server,
	// until ctx is done.
	Candidates(ctx context.Context, kid, algorithm string) ([]Key, error)
}

// shortestSecret holds the least bytes that an HMAC secret must have: as many
// as its hash (RFC 7518, 3.2).
var shortestSecret = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// NewSecretKey returns an HMAC key. An empty algorithm means HS256. The secret must be at least
// as long as the hash, so that it cannot be guessed offline.
func NewSecretKey(id, algorithm string, secret []byte) (Key, error) {
	if algorithm == "" {
		algorithm = "HS256"
	}
	least, ok := shortestSecret[algorithm]
	if !ok {
		return Key{}, fmt.Errorf("algorithm %q does not work with a secret; use HS256, HS384 or HS512", algorithm)
	}
	if len(secret) < least {
		return Key{}, fmt.Errorf("the secret has %d bytes; %s needs at least %d (try: openssl rand -base64 %d)", len(secret), algorithm, least, least)
	}
	return Key{ID: id, Algorithm: algorithm, verify: secret, sign: secret, source: sourceOf(algorithm, secret)}, nil
}

// NewPEMKey returns a key from a PEM block: a public key, a certificate, or a private key, which
// can sign as well. The algorithm must fit the key. Empty means RS256 for RSA, the curve's
// algorithm for ECDSA, and EdDSA for Ed25519.
func NewPEMKey(id, algorithm string, text []byte) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("there is no PEM block in it")
	}
	parsed, err := parsePEM(block)
	if err != nil {
		return Key{}, err
	}
	key := Key{ID: id, verify: parsed}
	if signer, ok := parsed.(crypto.Signer); ok {
		key.verify, key.sign = signer.Public(), signer
	}
	if key.Algorithm, err = pinAlgorithm(key.verify, algorithm); err != nil {
		return key, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.verify)
	key.source = sourceOf(key.Algorithm, public)
	return key, err
}

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("PEM block %q is not a key; it has to be a public key, a certificate or a private key", block.Type)
}

// pinAlgorithm returns the one algorithm that a public key serves.
func pinAlgorithm(public any, wanted string) (string, error) {
	var allowed []string
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return "", fmt.Errorf("the RSA key has %d bits; at least 2048 are needed", k.N.BitLen())
		}
		allowed = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			allowed = []string{"ES256"}
		case 384:
			allowed = []string{"ES384"}
		case 521:
			allowed = []string{"ES512"}
		}
	case ed25519.PublicKey:
		allowed = []string{"EdDSA"}
	}
	if len(allowed) == 0 {
		return "", fmt.Errorf("keys of type %T are not supported", public)
	}
	if wanted == "" {
		return allowed[0], nil
	}
	for _, a := range allowed {
		if a == wanted {
			return a, nil
		}
	}
	return "", fmt.Errorf("algorithm %q does not fit the key; it can be %s", wanted, strings.Join(allowed, ", "))
}

// StaticKeys are keys from a configuration.
type StaticKeys []Key

// Candidates returns the keys with the kid or, if there is none, those without an ID. Of these it
// returns only the keys for the token's algorithm.
func (s StaticKeys) Candidates(_ context.Context, kid, algorithm string) ([]Key, error) {
	var named, unnamed []Key
	for _, k := range s {
		switch {
		case k.Algorithm != algorithm:
		case kid != "" && k.ID == kid:
			named = append(named, k)
		case k.ID == "" || kid == "":
			unnamed = append(unnamed, k)
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	return unnamed, nil
}

// MultiKeys asks several sources in order until one has a candidate.
type MultiKeys []Keys

// Candidates returns the keys of the first source that has any.
func (m MultiKeys) Candidates(ctx context.Context, kid, algorithm string) ([]Key, error) {
	var failed error
	for _, source := range m {
		keys, err := source.Candidates(ctx, kid, algorithm)
		if len(keys) > 0 {
			return keys, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}
