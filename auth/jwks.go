package auth

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"golang.org/x/time/rate"
)

// JWKS are keys that a server publishes as a JSON Web Key Set. They are fetched at the start and
// then regularly, and kept while the server is unavailable or answers with no key that can be used. After a failure they are fetched
// again soon. If a token names an unknown key, they are fetched again, at a limited rate. Unknown kinds of keys are skipped. Redirects are followed
// only to the same https host.
type JWKS struct {
	storage jwkset.Storage
	source  keySource
	where   string // the URL without what could be secret in it, for logs
	log     *slog.Logger

	keys, skipped atomic.Int64 // of the last set
	fetchErrors   atomic.Int64
	failed        atomic.Bool // whether the last fetch failed
}

// JWKSOptions say where a key set is.
type JWKSOptions struct {
	// URL is where the set is published: https, or http on loopback.
	URL string
	// AllowHTTP permits plain http beyond loopback. An attacker on the network can then insert
	// keys.
	AllowHTTP bool
	// TLS is for the connection to an https server. By default it trusts the system's
	// certificates.
	TLS *tls.Config
	// Refresh is how often it is fetched. Default one hour.
	Refresh time.Duration
	// UnknownKeyEvery is the minimum time between fetches for unknown key IDs, and how long
	// after a failed fetch the next one is. Default one minute.
	UnknownKeyEvery time.Duration
	// Logger reports failed fetches and skipped keys. Default slog.Default.
	Logger *slog.Logger
}

// WithDefaults returns o with the defaults in place of zeros.
func (o JWKSOptions) WithDefaults() JWKSOptions {
	if o.Refresh <= 0 {
		o.Refresh = time.Hour
	}
	if o.UnknownKeyEvery <= 0 {
		o.UnknownKeyEvery = time.Minute
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}

// fetchTimeout bounds a fetch, redirects and the reading of the answer included.
const fetchTimeout = 10 * time.Second

// NewJWKS fetches the key set and keeps it up to date until ctx is done. An unavailable server is
// not an error: the set is empty until the server answers with a key that can be used.
func NewJWKS(ctx context.Context, o JWKSOptions) (*JWKS, error) {
	location, err := parseKeySetURL(o.URL, o.AllowHTTP)
	if err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	j := &JWKS{source: sourceOf("JWKS", []byte(o.URL)), where: location.Scheme + "://" + location.Host + location.Path, log: o.Logger}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	if o.TLS != nil {
		transport.TLSClientConfig = o.TLS.Clone()
	}
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	fetched, err := jwkset.NewStorageFromHTTP(o.URL, jwkset.HTTPClientStorageOptions{
		Client: &http.Client{Timeout: fetchTimeout, Transport: &keySetTransport{next: transport, jwks: j}, CheckRedirect: sameHost},
		Ctx:    ctx, NoErrorReturnFirstHTTPReq: true, RefreshErrorHandler: j.fetchFailed, RefreshInterval: o.Refresh,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.where, withoutURL(err))
	}
	// A token from a key that was published a moment ago has to wait for the fetch, but not
	// for the rate limit.
	if j.storage, err = fetchingFor(o.URL, fetched, rate.Every(o.UnknownKeyEvery), time.Second); err != nil {
		return nil, fmt.Errorf("%s: %w", j.where, withoutURL(err))
	}
	again, err := fetchingFor(o.URL, fetched, rate.Inf, fetchTimeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.where, withoutURL(err))
	}
	go j.fetchAgain(ctx, again, min(o.UnknownKeyEvery, o.Refresh))
	return j, nil
}

// fetchingFor returns a storage that fetches a key set again to read a key that is not in it.
func fetchingFor(location string, fetched jwkset.Storage, limit rate.Limit, patience time.Duration) (jwkset.Storage, error) {
	return jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs: map[string]jwkset.Storage{location: fetched}, RateLimitWaitMax: patience, RefreshUnknownKID: rate.NewLimiter(limit, 1),
	})
}

// noKeyID is the id of no key.
const noKeyID = "\x00"

// fetchAgain fetches the set again after failures: the next regular fetch may be an hour
// away, and without keys no client gets in.
func (j *JWKS) fetchAgain(ctx context.Context, storage jwkset.Storage, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if j.failed.Load() {
				_, _ = storage.KeyRead(ctx, noKeyID) // fetchFailed reports a failure
			}
		}
	}
}

// CheckKeySetURL returns an error if NewJWKS would refuse the URL.
func CheckKeySetURL(text string, allowHTTP bool) error {
	_, err := parseKeySetURL(text, allowHTTP)
	return err
}

func parseKeySetURL(text string, allowHTTP bool) (*url.URL, error) {
	location, err := url.Parse(text)
	if err != nil || location.Hostname() == "" || (location.Scheme != "https" && location.Scheme != "http") {
		return nil, errors.New("it is not an http or https URL")
	}
	if location.Scheme == "http" && !allowHTTP && !isLoopback(location.Hostname()) {
		return nil, fmt.Errorf("http://%s is not encrypted, so a machine between could put in keys of its own; use https, or allow http (auth.jwt.jwks_allow_http) on a private network", location.Host)
	}
	return location, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// maxRedirects is how many redirects of the key set's server are followed.
const maxRedirects = 3

// sameHost follows a redirect that stays on the same https host: no other is known to
// speak for the issuer.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Scheme != "https" || first.Scheme != "https" || next.URL.Host != first.Host {
		return errors.New("the server redirects to another address, which is not followed; set the URL to where the key set is")
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("the server redirects more than %d times", maxRedirects)
	}
	return nil
}

func (j *JWKS) fetchFailed(ctx context.Context, err error) {
	j.failed.Store(true)
	j.fetchErrors.Add(1)
	j.log.WarnContext(ctx, "could not fetch the JSON Web Key Set; the keys known so far go on working", "url", j.where, "error", withoutURL(err))
}

// withoutURL is an error of a fetch without the URL, which may hold secrets.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// Candidates returns the published keys with the id kid or, for a token without a kid, all keys
// for the algorithm.
func (j *JWKS) Candidates(ctx context.Context, kid, algorithm string) ([]Key, error) {
	keys, err := j.read(ctx, kid, algorithm)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	// This fetches the set again where it has no such key.
	if _, err := j.storage.KeyRead(ctx, kid); errors.Is(err, jwkset.ErrKeyNotFound) {
		return nil, fmt.Errorf("the JSON Web Key Set has no key %s", quote(kid))
	} else if err != nil {
		return nil, err
	}
	return j.read(ctx, kid, algorithm)
}

// read returns the keys as they were fetched last.
func (j *JWKS) read(ctx context.Context, kid, algorithm string) ([]Key, error) {
	published, err := j.storage.KeyReadAll(ctx)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, jwk := range published {
		key, err := fromJWK(jwk)
		if err == nil && key.Algorithm == algorithm && (kid == "" || key.ID == kid) {
			key.source = j.source
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Continue copies the counts of the key set that j replaces. Call it before j is used; nil
// changes nothing.
func (j *JWKS) Continue(previous *JWKS) {
	if previous != nil {
		j.fetchErrors.Add(previous.fetchErrors.Load())
	}
}

// CountFailures adds the failed fetches of the set that was to replace j, and stays away because of
// them. The set of j is fetched again soon.
func (j *JWKS) CountFailures(of *JWKS) {
	if n := of.fetchErrors.Load(); n > 0 {
		j.fetchErrors.Add(n)
		j.failed.Store(true)
	}
}

// KeyStats count published keys: how many of the last set are used, how many were skipped, and
// how many fetches failed since the start.
type KeyStats struct{ Keys, Skipped, FetchErrors int64 }

// Stats returns the counts as they are now. It is safe for concurrent use.
func (j *JWKS) Stats() KeyStats {
	return KeyStats{Keys: j.keys.Load(), Skipped: j.skipped.Load(), FetchErrors: j.fetchErrors.Load()}
}

// statsOf adds up the counts of the published keys among keys.
func statsOf(keys Keys) (total KeyStats) {
	switch source := keys.(type) {
	case *JWKS:
		return source.Stats()
	case MultiKeys:
		for _, keys := range source {
			stats := statsOf(keys)
			total.Keys += stats.Keys
			total.Skipped += stats.Skipped
			total.FetchErrors += stats.FetchErrors
		}
	}
	return total
}

// errOtherUse is for keys that are understood, and are not for signatures.
var errOtherUse = errors.New("it is not for checking signatures")

// fromJWK pins the algorithm that the set names for the key, or else the usual
// one of its type. Symmetric keys are refused: a published secret is none.
func fromJWK(jwk jwkset.JWK) (Key, error) {
	m := jwk.Marshal()
	if m.USE != "" && m.USE != jwkset.UseSig {
		return Key{}, errOtherUse
	}
	if len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return Key{}, errOtherUse
	}
	public := jwk.Key()
	if signer, ok := public.(crypto.Signer); ok {
		public = signer.Public()
	}
	algorithm, err := pinAlgorithm(public, string(m.ALG))
	return Key{ID: m.KID, Algorithm: algorithm, verify: public}, err
}
