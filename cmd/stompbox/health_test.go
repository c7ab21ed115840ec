package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

func TestHealthAsksTheConfiguredBroker(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	env := []string{"STOMPBOX_HTTP_TLS_CERT=" + cert, "STOMPBOX_HTTP_TLS_KEY=" + key}
	p := serve(t, env, "--dev")
	env = append(env, "STOMPBOX_HTTP_LISTEN=:"+p.http[strings.LastIndexByte(p.http, ':')+1:])
	out, stderr, err := run(t, env, "health")
	require.NoError(t, err, stderr)
	require.Equal(t, "ok\n", out)
	out, stderr, err = run(t, env, "health", "--ready")
	require.NoError(t, err, stderr)
	require.Equal(t, "ready\n", out)

	// The certificate of another host than this machine is verified.
	_, stderr, err = run(t, nil, "health", "https://"+p.http)
	require.Error(t, err)
	require.Contains(t, stderr, "certificate")
	out, stderr, err = run(t, nil, "health", "--ca", cert, "https://"+p.http)
	require.NoError(t, err, stderr)
	require.Equal(t, "ok\n", out)
	p.stop(t)

	_, stderr, err = run(t, env, "health")
	require.Error(t, err)
	require.Contains(t, stderr, "no answer")
}

func TestHealthReportsABrokerThatIsNotWell(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, strings.Repeat("draining ", 1000), http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/healthz", http.StatusFound) })
	s := httptest.NewServer(mux)
	defer s.Close()
	_, stderr, err := run(t, nil, "health", s.URL)
	require.NoError(t, err, stderr)
	_, stderr, err = run(t, nil, "health", "--ready", s.URL)
	require.Error(t, err)
	require.Contains(t, stderr, s.URL+"/readyz answers 503: draining draining")
	require.Less(t, len(stderr), 1200)
	_, stderr, err = run(t, nil, "health", s.URL+"/moved")
	require.Error(t, err)
	require.Contains(t, stderr, "answers 302")
	_, stderr, err = run(t, nil, "health", "127.0.0.1:8080")
	require.Error(t, err)
	require.Contains(t, stderr, "is not a URL such as http://127.0.0.1:8080")
}

func TestLocalURLReachesTheListenerOfThisMachine(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":80": "http://127.0.0.1:80", "0.0.0.0:80": "http://127.0.0.1:80",
		"[::]:80": "http://[::1]:80", "10.0.0.1:80": "http://10.0.0.1:80", "localhost:80": "http://localhost:80",
	} {
		got, err := localURL(config.HTTP{Listen: listen}, false)
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	got, err := localURL(config.HTTP{Listen: ":443", TLS: config.TLS{Cert: "x"}}, false)
	require.NoError(t, err)
	require.Equal(t, "https://127.0.0.1:443", got.String())
	_, err = localURL(config.HTTP{}, false)
	require.ErrorContains(t, err, "http.listen and admin.listen are empty")
}
