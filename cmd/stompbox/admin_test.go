package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/test"
)

const (
	adminToken   = "a token of tests for operators, 1234567890"
	metricsToken = "a token of tests for monitoring, 1234567890"
)

// tokenFile is a file with a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	return file
}

// askAs asks as a client that names the listener so, and shows the token if there is one.
func askAs(t *testing.T, url, host, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Host = host
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

func TestMetricsWithoutATokenAnswerNoNameOfAWebPage(t *testing.T) {
	t.Parallel()
	address := test.Address(t)
	p := serve(t, []string{"STOMPBOX_METRICS_PPROF=true", "STOMPBOX_METRICS_ALLOWED_HOSTS=metrics.example"}, "--dev", "--metrics", address)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		for host, status := range map[string]int{
			"": 200, "localhost:9": 200, "[::1]:9": 200, "10.1.2.3": 200, "stompbox:9464": 200, "METRICS.example:9464": 200,
			"evil.example": 403, "evil.example:9464": 403, "127.0.0.1.evil.example": 403, "metrics.example.": 403, "localhost.": 403,
		} {
			got, text := askAs(t, "http://"+address+path, host, "")
			require.Equal(t, status, got, "%s of %q: %s", path, host, text)
			require.Equal(t, status == 200, !strings.Contains(text, "allowed_hosts"), text)
		}
	}
	p.says(t, "a request to a listener for operators was refused")
	p.stop(t)
}

// TestProfilesNeedAToken: they show what is in memory. Without one, metrics are there on loopback.
func TestProfilesNeedAToken(t *testing.T) {
	t.Parallel()
	admin := test.Address(t)
	p := serve(t, nil, "-c", writeConfig(t, testSecret), "--admin", admin)
	status, text := askAs(t, "http://"+admin+"/debug/pprof/heap", "", "")
	require.Equal(t, 403, status)
	require.Contains(t, text, "admin.token_file")
	require.Contains(t, text, `"code":"forbidden"`)
	status, _ = askAs(t, "http://"+admin+"/metrics", "", "")
	require.Equal(t, 200, status)
	p.stop(t)
}

func TestListenersForOperatorsWantTheirToken(t *testing.T) {
	t.Parallel()
	admin, monitoring := test.Address(t), test.Address(t)
	p := serve(t, []string{"STOMPBOX_ADMIN_TOKEN_FILE=" + tokenFile(t, adminToken), "STOMPBOX_METRICS_TOKEN_FILE=" + tokenFile(t, metricsToken)},
		"--dev", "--metrics", monitoring, "--admin", admin)
	user := test.Token(t, "alice", time.Hour, auth.AllGrants()) // of another secret: it is no token here
	for _, ask := range []struct {
		url, token string
		status     int
	}{
		{monitoring + "/metrics", "", 401}, {monitoring + "/metrics", metricsToken, 200}, {monitoring + "/metrics", adminToken, 200},
		{monitoring + "/metrics", metricsToken + "x", 401}, {monitoring + "/metrics", metricsToken[1:], 401}, {monitoring + "/debug/pprof/", metricsToken, 404},
		{monitoring + "/api/users", adminToken, 404},
		{admin + "/healthz", "", 200}, {admin + "/readyz", "", 200},
		{admin + "/metrics", "", 401}, {admin + "/metrics", metricsToken, 401}, {admin + "/metrics", adminToken, 200},
		{admin + "/debug/pprof/", "", 401}, {admin + "/debug/pprof/", adminToken, 200},
		{admin + "/api/users", "", 401}, {admin + "/api/users", user, 401}, {admin + "/api/users", metricsToken, 401}, {admin + "/api/users", adminToken, 200},
		{p.http + "/api/users", adminToken, 401},
	} {
		// A token is enough under any name: no page knows it.
		status, text := askAs(t, "http://"+ask.url, "some.example", ask.token)
		if strings.HasPrefix(ask.url, p.http) {
			status, text = askAs(t, "http://"+ask.url, "", ask.token)
		}
		require.Equal(t, ask.status, status, "%s with %q: %s", ask.url, ask.token, text)
		require.Equal(t, status == 401, strings.Contains(text, `"code":"unauthenticated"`), "%s: %s", ask.url, text)
	}
	_, text := askAs(t, "http://"+admin+"/metrics", "some.example", adminToken)
	for endpoint, n := range map[string]int{"metrics": 3, "admin": 3, "api": 4} {
		require.Contains(t, text, fmt.Sprintf("stompbox_requests_unauthenticated_total{code=\"unauthenticated\",endpoint=%q} %d\n", endpoint, n))
	}
	p.stop(t)
	require.NotContains(t, p.stderr.String(), adminToken)
	require.NotContains(t, p.stderr.String(), metricsToken)
}

func TestListenersForOperatorsAreClosedByDefault(t *testing.T) {
	t.Parallel()
	const jwt = "auth: { jwt: { secret: 0123456789abcdef0123456789abcdef } }\n"
	for name, c := range map[string]struct{ text, says string }{
		"metrics":       {"metrics: { listen: '0.0.0.0:9464' }", "set metrics.token_file, or metrics.anonymous"},
		"no address":    {"metrics: { listen: ':9464' }", "set metrics.token_file, or metrics.anonymous"},
		"profiles":      {"metrics: { listen: '0.0.0.0:9464', anonymous: true, pprof: true }", "needs metrics.token_file"},
		"admin":         {"admin: { listen: '0.0.0.0:9465' }", "set admin.token_file"},
		"many queues":   {"metrics: { queues: 5000 }", "more than 1000"},
		"half of TLS":   {"admin: { listen: '127.0.0.1:9465', tls: { cert: x } }", "both cert and key"},
		"metrics, open": {"metrics: { listen: '0.0.0.0:9464', anonymous: true }", ""},
		"with a token":  {"metrics: { listen: '0.0.0.0:9464', token_file: x, pprof: true }", ""},
		"loopback":      {"metrics: { listen: '127.0.0.1:9464', pprof: true }\nadmin: { listen: 'localhost:9465' }", ""},
	} {
		file := filepath.Join(t.TempDir(), "stompbox.yaml")
		require.NoError(t, os.WriteFile(file, []byte(jwt+c.text), 0o600))
		_, err := config.Load(config.Source{File: file, Environ: []string{}})
		if c.says == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.says, name)
		}
	}
	_, err := config.Admin{Token: "short"}.LoadToken(false)
	require.ErrorContains(t, err, "openssl rand -base64 32")
	_, err = config.Metrics{TokenFile: "/nowhere"}.LoadToken(false)
	require.ErrorContains(t, err, "metrics.token")
	require.False(t, config.Token{}.Matches(""), "no token is not the empty one")
}

// TestRequestsThatAreNotAuthenticatedHaveALine with the cause, which their clients do not
// learn; but not as many lines as they are.
func TestRequestsThatAreNotAuthenticatedHaveALine(t *testing.T) {
	t.Parallel()
	admin := test.Address(t)
	p := serve(t, []string{"STOMPBOX_ADMIN_TOKEN_FILE=" + tokenFile(t, adminToken)}, "--dev", "--admin", admin)
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + admin + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	}, test.Patience, 20*time.Millisecond)
	for i, url := range []string{"http://" + admin + "/api/nodes", "http://" + p.http + "/api/users", "http://" + p.http + "/events?destination=/topic/a"} {
		before := strings.Count(p.stderr.String(), "a request was not authenticated")
		for range 100 {
			request, err := http.NewRequest(http.MethodGet, url, nil)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer not.a.token")
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
		}
		lines := func() int { return strings.Count(p.stderr.String(), "a request was not authenticated") - before }
		require.Eventually(t, func() bool { return lines() >= 20 }, test.Patience, 10*time.Millisecond, "%d: %s", i, p.stderr)
		require.Less(t, lines(), 100)
	}
	p.says(t, `level=INFO msg="a request was not authenticated" method=GET path=/events remote=127\.0\.0\.1:\d+ error="authentication failed.*`)
	require.NotContains(t, p.stderr.String(), "not.a.token")
	p.stop(t)
}
