package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestSettingsThatCountForNothingAreRefused: an operator relies on what is written.
func TestSettingsThatCountForNothingAreRefused(t *testing.T) {
	t.Parallel()
	const (
		keySet   = "auth: { jwt: { jwks_url: 'https://id.example/keys' } }\n"
		external = "nats: { url: 'nats://a:4222' }\n"
	)
	for text, says := range map[string]string{
		"auth: { jwt: { jwks_url: 'https://id.example/keys', algorithm: RS256 } }":                                                                                     `auth.jwt.algorithm "RS256" is that of auth.jwt.secret, secret_file or key_file, and none of them is set; leave it out`,
		"auth: { jwt: { keys: [ { id: a, algorithm: HS256, secret_file: a } ], algorithm: HS256 } }":                                                                   "auth.jwt.algorithm",
		"auth: { jwt: { secret_file: a, jwks_allow_http: true } }":                                                                                                     "auth.jwt.jwks_allow_http is for auth.jwt.jwks_url, which is not set; leave it out",
		keySet + external + "data: { sync: always }":                                                                                                                   `data.sync "always" is for the embedded server, and with nats.url there is none; leave it out`,
		keySet + external + "data: { sync: 10s }":                                                                                                                      `data.sync "10s" is for the embedded server`,
		keySet + external + "data: { max_bytes: 1GiB }":                                                                                                                "data.max_bytes 1GiB is for the embedded server",
		keySet + "data: { max_bytes: 10MiB }\nhistory: { policies: [ { name: a, match: /topic/a, max_bytes: 1GiB } ] }":                                                "history.policies, entry 1.max_bytes 1GiB is more than data.max_bytes 10MiB, so no message of it could be stored",
		keySet + "data: { max_bytes: 10MiB }\nqueues: { max_bytes: 1GiB, policies: [ { match: /queue/a } ] }":                                                          "queues.max_bytes 1GiB is more than data.max_bytes 10MiB",
		keySet + "data: { max_bytes: 10MiB }\nqueues: { policies: [ { match: /queue/a, max_bytes: 11MiB } ] }":                                                         "queues.policies, entry 1.max_bytes 11MiB is more than data.max_bytes 10MiB",
		keySet + "data: { max_bytes: 10MiB }\nhistory: { policies: [ { name: a, match: /topic/a, max_bytes: 6MiB }, { name: b, match: /topic/b, max_bytes: 6MiB } ] }": "history.policies have max_bytes of 12MiB together, which is more than data.max_bytes 10MiB",
	} {
		_, err := config.Load(config.Source{File: write(t, text), Environ: []string{}})
		require.ErrorContains(t, err, says, text)
	}
	for _, text := range []string{
		"auth: { jwt: { secret_file: a, jwks_url: 'https://id.example/keys', algorithm: HS512 } }",
		"auth: { jwt: { key_file: a, algorithm: RS256 } }",
		"auth: { jwt: { jwks_url: 'http://id.example/keys', jwks_allow_http: true } }",
		keySet + external + "data: { sync: 2m, max_bytes: 0 }",
		keySet + "data: { sync: always, max_bytes: 10MiB }\nqueues: { max_bytes: 10MiB }\nhistory: { policies: [ { name: a, match: /topic/a, max_bytes: 10MiB } ] }",
		keySet + "data: { max_bytes: 10MiB }\ncluster: { listen: '127.0.0.1:6222', node: a, peers: ['127.0.0.1:6223'] }\nhistory: { policies: [ { name: a, match: /topic/a, max_bytes: 6MiB }, { name: b, match: /topic/b, max_bytes: 6MiB } ] }",
	} {
		_, err := config.Load(config.Source{File: write(t, text), Environ: []string{}})
		require.NoError(t, err, text)
	}
}
