package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"golang.org/x/time/rate"
)

// JWKS are keys that a server publishes as a JSON Web Key Set. They are fetched
// at the start and then regularly, kept while the server is away, and fetched
// again, at a limited rate, when a token names a key that is not known yet.
type JWKS struct {
	storage jwkset.Storage
}

// JWKSOptions say where a key set is.
type JWKSOptions struct {
	// URL is where the set is published. Outside of loopback it should be https.
	URL string
	// Refresh is how often it is fetched. Default one hour.
	Refresh time.Duration
	// UnknownKeyEvery is the least time between fetches for unknown key IDs.
	// Default one minute.
	UnknownKeyEvery time.Duration
	// Logger reports fetches that fail. Default slog.Default.
	Logger *slog.Logger
}

// NewJWKS fetches the key set and keeps it fresh until ctx is done. A server
// that is away is no error: the set is empty until it is back.
func NewJWKS(ctx context.Context, o JWKSOptions) (*JWKS, error) {
	parsed, err := url.Parse(o.URL)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
		return nil, fmt.Errorf("jwks url %q is not an http or https URL", o.URL)
	}
	if o.Refresh == 0 {
		o.Refresh = time.Hour
	}
	if o.UnknownKeyEvery == 0 {
		o.UnknownKeyEvery = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	logger := o.Logger
	override := keyfunc.Override{
		Client:          &http.Client{Timeout: 10 * time.Second},
		RefreshInterval: o.Refresh,
		// A token from a key that was published a moment ago has to wait for
		// the fetch, but not for the rate limit.
		RateLimitWaitMax:  time.Second,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(o.UnknownKeyEvery), 1),
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				logger.WarnContext(ctx, "could not fetch the JSON Web Key Set; the keys known so far go on working", "url", parsed.Redacted(), "error", err)
			}
		},
	}
	k, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{o.URL}, override)
	if err != nil {
		return nil, fmt.Errorf("jwks url %q: %w", parsed.Redacted(), err)
	}
	return &JWKS{storage: k.Storage()}, nil
}

// Candidates returns the published key called kid, or, for a token without a
// kid, all of the algorithm.
func (j *JWKS) Candidates(ctx context.Context, kid, algorithm string) ([]Key, error) {
	var published []jwkset.JWK
	if kid == "" {
		all, err := j.storage.KeyReadAll(ctx)
		if err != nil {
			return nil, err
		}
		published = all
	} else {
		one, err := j.storage.KeyRead(ctx, kid)
		if errors.Is(err, jwkset.ErrKeyNotFound) {
			return nil, fmt.Errorf("the JSON Web Key Set has no key %q", kid)
		}
		if err != nil {
			return nil, err
		}
		published = []jwkset.JWK{one}
	}
	var keys []Key
	for _, jwk := range published {
		key, err := fromJWK(jwk)
		if err == nil && key.Algorithm == algorithm {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// fromJWK pins the algorithm that the set names for the key, or else the usual
// one of its type. Symmetric keys are refused: a published secret is none.
func fromJWK(jwk jwkset.JWK) (Key, error) {
	m := jwk.Marshal()
	if m.USE != "" && m.USE != jwkset.UseSig {
		return Key{}, fmt.Errorf("key %q is not for signatures", m.KID)
	}
	public := jwk.Key()
	if signer, ok := public.(crypto.Signer); ok {
		public = signer.Public()
	}
	algorithm, err := pinAlgorithm(public, string(m.ALG))
	return Key{ID: m.KID, Algorithm: algorithm, verify: public}, err
}
