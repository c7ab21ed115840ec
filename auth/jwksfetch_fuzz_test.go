package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/stretchr/testify/require"
)

// FuzzKeySet holds that of any answer of a key set's server the keys that are left can be
// used by the library that reads them next, and are public.
func FuzzKeySet(f *testing.F) {
	for _, text := range []string{
		`{"keys":[]}`, `{"keys":null}`, `{"keys":[null,7,[],{}]}`, `[]`, ``,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","x5u":"https://127.0.0.1:1/","x5c":["AAAA"]}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","x5u":"https://127.0.0.1:1/","key_ops":["verify"]}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"AKP","pub":"AAAA"}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		j := &JWKS{log: slog.New(slog.DiscardHandler)}
		left, err := j.filter(text)
		if err != nil {
			return
		}
		var set jwkset.JWKSMarshal
		require.NoError(t, json.Unmarshal(left, &set))
		require.EqualValues(t, len(set.Keys), j.Stats().Keys)
		for _, key := range set.Keys {
			jwk, err := jwkset.NewJWKFromMarshal(key, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
			require.NoError(t, err)
			require.Empty(t, jwk.X509().X5U+key.D+key.K)
			switch public := jwk.Key().(type) {
			case *ecdsa.PublicKey, ed25519.PublicKey, *rsa.PublicKey:
			default:
				t.Fatalf("a key of type %T is left", public)
			}
			_, err = fromJWK(jwk)
			require.NoError(t, err)
		}
	})
}
