package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSettingsWithoutEffectAreNamed with what they need.
func TestSettingsWithoutEffectAreNamed(t *testing.T) {
	t.Parallel()
	const (
		keySet = "auth: { jwt: { jwks_url: 'https://id.example/keys' } }\n"
		login  = "auth: { logins: [ { login: a, passcode_hash: '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'%s } ]%s }\n"
	)
	logins := func(of, more string) string {
		return strings.Replace(strings.Replace(login, "%s", of, 1), "%s", more, 1)
	}
	for _, c := range []struct {
		text string
		says []string
	}{
		{keySet + "stomp: { tls: { cert: a, key: b } }", []string{"no effect without stomp.listen: stomp.tls.cert, stomp.tls.key"}},
		{keySet + "stomp: { trusted_proxies: [10.0.0.1], proxy_protocol: true }", []string{"no effect without stomp.listen: stomp.trusted_proxies, stomp.proxy_protocol"}},
		{keySet + "stomp: { tls: { cert: a, key: b }, client_tls: { ca: c, required: true } }", []string{"no effect without stomp.listen: stomp.tls.cert, stomp.tls.key, stomp.client_tls.ca, stomp.client_tls.required"}},
		{keySet + "stomp: { listen: '127.0.0.1:61613', client_tls: { name: dns } }", []string{"no effect without stomp.client_tls.ca: stomp.client_tls.name"}},
		{keySet + "http: { listen: '', tls: { cert: a, key: b }, compression: true }\nstomp: { listen: '127.0.0.1:61613' }\nevents: { cookie: a }\nsockjs: { cookie: true }", []string{"no effect without http.listen: http.tls.cert, http.tls.key, http.compression, events.cookie, sockjs.cookie"}},
		{keySet + "sockjs: { transports: [], cookie: true }", []string{"no effect without sockjs.transports: sockjs.cookie"}},
		{keySet + "acme: { email: a@stomp.example, accept_terms: true }", []string{"no effect without acme.domains: acme.email, acme.accept_terms"}},
		{keySet + "acme: { domains: [stomp.example], accept_terms: true, listeners: [http, stomp] }", []string{"no effect without stomp.listen: stomp in acme.listeners"}},
		{keySet + "metrics: { token_file: a, anonymous: true, pprof: true, allowed_hosts: [a], queues: 5 }", []string{"no effect without metrics.listen: metrics.token_file, metrics.anonymous, metrics.allowed_hosts", "no effect without metrics.listen: metrics.pprof", "no effect without metrics.listen or admin.listen: metrics.queues"}},
		{"dev: true\nmetrics: { pprof: true, queues: 5 }", nil},
		{keySet + "metrics: { queues: 5 }\nadmin: { listen: '127.0.0.1:9465' }", nil},
		{keySet + "admin: { token_file: a, tls: { cert: a, key: b }, allowed_hosts: [a] }", []string{"no effect without admin.listen: admin.tls.cert, admin.tls.key, admin.allowed_hosts", "no effect without admin.listen: admin.token_file"}},
		{keySet + "metrics: { listen: '127.0.0.1:9464', token_file: a }\nadmin: { token_file: b }", nil},
		{keySet + "cluster: { name: a, user: b, password_file: c, tls: { cert: a, key: b, ca: c } }", []string{"no effect without cluster.listen: cluster.name, cluster.user, cluster.tls.cert, cluster.tls.key, cluster.tls.ca, cluster.password_file"}},
		{keySet + "cluster: { node: a }", nil},
		{logins("", ", jwt: { issuer: a, audience: [b], leeway: 1s, required_claims: [c], principal_claim: d, jwks_refresh: 1m }, default: { send: [/topic/a] }"), []string{"no effect without a key for tokens, such as auth.jwt.secret_file or auth.jwt.jwks_url: auth.jwt.issuer, auth.jwt.audience, auth.jwt.leeway, auth.jwt.required_claims, auth.jwt.principal_claim, auth.default.send", "no effect without auth.jwt.jwks_url: auth.jwt.jwks_refresh"}},
		{logins("", ", roles: { a: { send: [/topic/a] } }"), []string{"no effect without a key for tokens, or a role of auth.logins: auth.roles"}},
		{logins(", role: a", ", roles: { a: { send: [/topic/a] } }"), nil},
		{keySet + "limits: { user_failed_logins: 10 }", []string{"no effect without auth.logins: limits.user_failed_logins"}},
		{keySet + "history: { durable_idle: 1h }\nlimits: { user_durables: 5 }", []string{"no effect without history.policies: history.durable_idle, limits.user_durables"}},
		{keySet + "http: { listen: '' }\nstomp: { listen: '127.0.0.1:61613' }\nlimits: { user_request_rate: 5 }", []string{"no effect without http.listen or admin.listen: limits.user_request_rate"}},
		{"auth: { jwt: { secret_file: a, roles_claim: groups } }", []string{"no effect without auth.roles: auth.jwt.roles_claim"}},
		{keySet + "heartbeat: { receive: 0, grace: 4 }", []string{"no effect without heartbeat.receive: heartbeat.grace"}},
		{"dev: true\nauth: { jwt: { issuer: a }, default: { send: [/topic/a] } }", []string{"no effect in development mode, where tokens that say nothing may do everything: auth.default"}},
		{keySet + "stomp: { tls: }\nmetrics: { queues: 20, allowed_hosts: [] }\nacme: { listeners: [http] }\ncluster: { name: stompbox }", nil},
	} {
		loaded, err := Load(Source{File: fileWith(t, c.text), Environ: []string{}})
		require.NoError(t, err, c.text)
		require.Equal(t, c.says, WithoutEffect(loaded), c.text)
	}
}

// TestWhatNothingSetsIsWithoutWarnings, and neither are files that come with the program.
func TestWhatNothingSetsIsWithoutWarnings(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"starting.yaml", "../../examples/chat.yaml", "../../examples/stompbox.yaml", "../../examples/tokens/stompbox.yaml", "../../examples/cluster/stompbox.yaml", "../../examples/compose/stompbox.yaml",
		"../../examples/dashboard/stompbox.yaml", "../../deploy/docker/stompbox.yaml", "../../deploy/package/stompbox.yaml", "../../stompbox.example.yaml",
	} {
		c, _, _ := Read(Source{File: file, Environ: []string{}})
		require.NotNil(t, c, file)
		require.Empty(t, WithoutEffect(c), file)
	}
}

// TestNeedsAreOfKeysThatThereAre: a key that is renamed is renamed here too.
func TestNeedsAreOfKeysThatThereAre(t *testing.T) {
	t.Parallel()
	for _, n := range needs(new(Config)) {
		for _, entry := range append(n.keys, n.but...) {
			require.True(t, slices.ContainsFunc(leafKeys(), func(key string) bool { return under([]string{entry}, key) }), entry)
		}
	}
}
