package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/MicahParks/jwkset"
)

const (
	// maxKeySetBytes bounds the answer of a key set's server.
	maxKeySetBytes = 1 << 20
	// maxKeys is how many keys of a set are used. A token without a kid is tried with
	// all that fit its algorithm.
	maxKeys = 100
	// maxSkippedInLog is how many skipped keys the log names.
	maxSkippedInLog = 10
)

// keySetTransport fetches a key set and leaves in it what can be used, so that a key
// that is not understood does not keep the others from being used (RFC 7517, 5).
type keySetTransport struct {
	next http.RoundTripper
	jwks *JWKS
}

// RoundTrip is http.RoundTripper's.
func (t *keySetTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		return answer, err
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKeySetBytes+1))
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeySetBytes {
		return nil, fmt.Errorf("the answer is larger than the limit of %d bytes", maxKeySetBytes)
	}
	if text, err = t.jwks.filter(text); err != nil {
		return nil, err
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return answer, nil
}

// ErrNoUsableKeys is why a fetch failed that brought a key set without keys for signatures: with it
// in place of the keys known so far, no token would be accepted.
var ErrNoUsableKeys = errors.New("the key set has no key that can be used")

// noUsableKeys is [ErrNoUsableKeys] for a set of that many keys, and says why keys were skipped.
func noUsableKeys(published int, skipped []string) error {
	switch {
	case published == 0:
		return fmt.Errorf("%w: it is empty", ErrNoUsableKeys)
	case len(skipped) == 0:
		return fmt.Errorf("%w: none of its %d is for checking signatures", ErrNoUsableKeys, published)
	}
	return fmt.Errorf("%w, of %d: %s", ErrNoUsableKeys, published, strings.Join(skipped[:min(len(skipped), maxSkippedInLog)], "; "))
}

// filter returns the key set with the keys that can be used, and their public parts
// alone. It counts and logs those that cannot. A set without any that can is an error.
func (j *JWKS) filter(text []byte) ([]byte, error) {
	var published struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &published); err != nil || published.Keys == nil {
		return nil, errors.New("the answer is not a JSON Web Key Set, an object with a list of keys")
	}
	var used jwkset.JWKSMarshal
	var skipped []string
	for i, raw := range *published.Keys {
		key, err := usableKey(raw)
		if err == nil && len(used.Keys) == maxKeys {
			err = fmt.Errorf("of a set, %d keys are used", maxKeys)
		}
		switch {
		case err == nil:
			used.Keys = append(used.Keys, key)
		case !errors.Is(err, errOtherUse):
			skipped = append(skipped, fmt.Sprintf("key %d, kid %s: %s", i+1, quote(kidOf(raw)), truncate(err.Error())))
		}
	}
	if len(used.Keys) == 0 {
		return nil, noUsableKeys(len(*published.Keys), skipped)
	}
	j.failed.Store(false)
	j.keys.Store(int64(len(used.Keys)))
	j.skipped.Store(int64(len(skipped)))
	if n := len(skipped); n > 0 {
		j.log.Warn("keys of the JSON Web Key Set are not understood, and are skipped; the others are used",
			"url", j.where, "used", len(used.Keys), "skipped", n, "error", strings.Join(skipped[:min(n, maxSkippedInLog)], "; "))
	}
	return json.Marshal(used)
}

// usableKey returns the public part of a key that verifies signatures. Its x5u is left
// alone: nothing is fetched but the set.
func usableKey(raw json.RawMessage) (jwkset.JWKMarshal, error) {
	var published jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &published); err != nil {
		return published, errors.New("it is not a JSON Web Key")
	}
	published.X5U = ""
	jwk, err := jwkset.NewJWKFromMarshal(published, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return published, err
	}
	if _, err := fromJWK(jwk); err != nil {
		return published, err
	}
	public := jwk.Marshal()
	public.X5C, public.X5T, public.X5TS256 = nil, "", ""
	return public, nil
}

func kidOf(raw json.RawMessage) string {
	var named struct {
		KID string `json:"kid"`
	}
	_ = json.Unmarshal(raw, &named) // what is no key has no kid
	return named.KID
}
