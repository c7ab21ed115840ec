package metrics_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/metrics"
)

// gather returns the values of metrics without labels.
func gather(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values[family.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

func TestAuthShowsWhatBecameOfPublishedKeys(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"AKP"},7]}`)
	}))
	defer server.Close()
	silent := slog.New(slog.DiscardHandler)
	good, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL, Logger: silent})
	require.NoError(t, err)
	server.Close()
	away, err := auth.NewJWKS(t.Context(), auth.JWKSOptions{URL: server.URL, Logger: silent})
	require.NoError(t, err)
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Keys: auth.MultiKeys{good, away}})
	require.NoError(t, err)
	require.Equal(t, map[string]float64{
		"stompbox_logins_total": 0, "stompbox_logins_waiting": 0,
		"stompbox_jwks_keys": 1, "stompbox_jwks_keys_skipped": 2, "stompbox_jwks_fetch_errors_total": 1,
		"stompbox_token_verification_duration_seconds": 0,
	}, gather(t, metrics.Auth(&auth.Authenticator{Tokens: verifier})))
}
