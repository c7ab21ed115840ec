package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/doctor"
	"github.com/stompbox/stompbox/internal/test"
)

func TestDoctorBesideABrokerThatRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, nil, "--dev", "--data-dir", dir)
	out, stderr, err := run(t, nil, "doctor", "--json", "--dev", "--http", p.http, "--stomp", p.tcp, "--data-dir", dir)
	require.NoError(t, err, "%s%s", out, stderr)
	var results []doctor.Result
	require.NoError(t, json.Unmarshal([]byte(out), &results))
	messages := make(map[string]string)
	for _, r := range results {
		messages[r.Check] = r.Message
	}
	require.Equal(t, p.http+" is in use, as the broker runs", messages["http.listen"])
	require.Equal(t, dir+" is in use, as the broker runs", messages["data_dir"])
	require.Equal(t, "the broker runs, and is ready", messages["readiness"])

	// A second broker on the folder of the first would not start.
	out, stderr, err = run(t, nil, "doctor", "--dev", "--http", "127.0.0.1:0", "--data-dir", dir)
	require.Error(t, err)
	require.Contains(t, out, "is in use by process")
	require.Contains(t, stderr, "checks failed")
	out, _, err = run(t, []string{"STOMPBOX_AUTH_JWT_SECRET=short"}, "doctor", "--http", "127.0.0.1:0")
	require.Error(t, err)
	require.Contains(t, out, "fail  configuration")
	require.Contains(t, out, "auth.jwt key")
	p.stop(t)
}

// TestDoctorBesideABrokerThatIsNotReady: a node of three that is alone has no majority.
func TestDoctorBesideABrokerThatIsNotReady(t *testing.T) {
	t.Parallel()
	dir, route := t.TempDir(), test.Address(t)
	env := []string{"STOMPBOX_CLUSTER_NODE=a", "STOMPBOX_CLUSTER_LISTEN=" + route, "STOMPBOX_CLUSTER_PEERS=" + route + "," + test.Address(t) + "," + test.Address(t)}
	p := serve(t, env, "--dev", "--data-dir", dir)
	out, stderr, err := run(t, env, "doctor", "--dev", "--http", p.http, "--stomp", p.tcp, "--data-dir", dir)
	require.Error(t, err, out)
	require.Contains(t, stderr, "1 of ")
	require.Regexp(t, "(?m)^fail  readiness .*the broker runs, but is not ready: NATS or its JetStream is out of reach$", out)
	require.Contains(t, out, "more than half of the nodes have to run")
	p.stop(t)
}

// TestHealthWhereTheBrokerTakesThisMachineForAProxy: the listener waits for a header of
// the PROXY protocol then.
func TestHealthWhereTheBrokerTakesThisMachineForAProxy(t *testing.T) {
	t.Parallel()
	for _, proxies := range []string{"127.0.0.0/8", "192.0.2.0/24"} {
		env := []string{"STOMPBOX_HTTP_PROXY_PROTOCOL=true", "STOMPBOX_HTTP_TRUSTED_PROXIES=" + proxies}
		p := serve(t, env, "--dev")
		out, stderr, err := run(t, env, "health", "--http", p.http)
		require.NoError(t, err, stderr)
		require.Equal(t, "ok\n", out)
		p.stop(t)
	}
}

// TestHealthAndDoctorWhereOnlyOperatorsHaveHTTP: admin.listen answers about health too.
func TestHealthAndDoctorWhereOnlyOperatorsHaveHTTP(t *testing.T) {
	t.Parallel()
	dir, admin := t.TempDir(), test.Address(t)
	args := []string{"--dev", "--http", "", "--admin", admin, "--data-dir", dir}
	env := []string{"STOMPBOX_ADMIN_TOKEN_FILE=" + tokenFile(t, adminToken)}
	p := serve(t, env, args...)
	env = append(env, "STOMPBOX_ADMIN_LISTEN="+admin, "STOMPBOX_STOMP_LISTEN="+p.tcp)
	for _, more := range []string{"", "--ready"} {
		out, stderr, err := run(t, env, append([]string{"health", "--http", ""}, strings.Fields(more)...)...)
		require.NoError(t, err, stderr)
		require.Contains(t, []string{"ok\n", "ready\n"}, out)
	}
	out, stderr, err := run(t, env, append([]string{"doctor"}, args...)...)
	require.NoError(t, err, "%s%s", out, stderr)
	require.Contains(t, out, admin+" is in use, as the broker runs")
	require.Contains(t, out, p.tcp+" is in use, as the broker runs")
	require.Contains(t, out, dir+" is in use, as the broker runs")
	require.Contains(t, out, "the broker runs, and is ready")
	p.stop(t)
	_, stderr, err = run(t, []string{"STOMPBOX_STOMP_LISTEN=" + p.tcp}, "health", "--http", "", "--dev")
	require.Error(t, err)
	require.Contains(t, stderr, "http.listen and admin.listen are empty")
}
