package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestNumbersThatCannotBeMeantAreNamed: each of them would wrap around, or be another
// number than the one that is written.
func TestNumbersThatCannotBeMeantAreNamed(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"limits: { connect_timeout: 10 }":                                                  "time 10 has no unit; for seconds write 10s",
		"limits: { idle_timeout: -1s }":                                                    "limits.idle_timeout -1s is negative",
		"events: { max_lifetime: 2000000h }":                                               "events.max_lifetime 2000000h0m0s is more than 100 years",
		"drain: { window: 9223372036854775807 }":                                           "time 9223372036854775807 has no unit",
		"drain: { window: 9223372036854775808 }":                                           "drain.window",
		"drain: { window: 1e30 }":                                                          "drain.window",
		"drain: { window: 9999999h }":                                                      "drain.window",
		"auth: { jwt: { leeway: 900000h } }":                                               "auth.jwt.leeway 900000h0m0s is more than 100 years",
		"auth: { jwt: { jwks_refresh: -1h } }":                                             "auth.jwt.jwks_refresh -1h0m0s is negative",
		"limits: { body: 2GiB }":                                                           "limits.body 2GiB is more than 1GiB",
		"limits: { body: -1B }":                                                            "limits.body -1B is negative",
		"limits: { body: 18446744073709551615 }":                                           "limits.body",
		"limits: { body: 1e30 }":                                                           "limits.body",
		"limits: { headers: 65536 }":                                                       "limits.headers 65536 is more than 16384",
		"limits: { headers: 16384, header_line: 65537B }":                                  "limits.headers 16384 times limits.header_line 65537B is more than 1GiB",
		"limits: { header_line: 4194304TiB }":                                              "limits.header_line 4194304TiB is negative, or more than 1024TiB",
		"limits: { address_connect_rate: 9e18 }":                                           "limits.address_connect_rate 9000000000000000000 is more than",
		"data: { max_bytes: -8388608TiB }":                                                 "data.max_bytes -8388608TiB is negative",
		"heartbeat: { grace: 1e300 }":                                                      "heartbeat.grace 1e+300 is not 1 to 1000",
		"heartbeat: { grace: .nan }":                                                       "heartbeat.grace NaN",
		"limits: { node_memory_share: .nan }":                                              "limits.node_memory_share NaN",
		"limits: { node_memory_share: -0.1 }":                                              "limits.node_memory_share -0.1",
		"limits: { node_memory_share: 50 }":                                                "limits.node_memory_share 50 is not 0.01 to 1, or 0",
		"heartbeat: { grace: -1 }":                                                         "heartbeat.grace -1",
		"heartbeat: { send: 25h }":                                                         "heartbeat.send 25h is more than 24h",
		"queues: { policies: [ { match: /topic/** } ] }":                                   `queues.policies, entry 1: match "/topic/**" matches no queue`,
		"presence: { destinations: [ /queue/* ] }":                                         `presence.destinations "/queue/*": presence is of topics`,
		"queues: { policies: [ { match: /queue/a }, { match: /queue/b, max_age: -1h } ] }": "queues.policies, entry 2.max_age -1h0m0s is negative",
		"history: { policies: [ { name: a, match: /topic/a, max_messages: -5 } ] }":        "history.policies, entry 1.max_messages -5 is negative",
		"app: { webhooks: [ { name: a, match: /app/a, url: 'http://127.0.0.1/', timeout: 5 } ] }": "time 5 has no unit; for seconds write 5s",
	} {
		if text[:4] != "auth" {
			text = secretAuth + text
		} else {
			text = "http: { listen: '127.0.0.1:1' }\n" + text
		}
		_, err := config.Load(config.Source{File: write(t, text), Environ: []string{}})
		require.ErrorContains(t, err, says, text)
	}
	_, err := config.Load(config.Source{File: write(t, secretAuth), Environ: []string{"STOMPBOX_DRAIN_WINDOW=10", "STOMPBOX_LIMITS_BODY=99999999999999999999"}})
	require.Error(t, err)
	_, err = config.Load(config.Source{File: write(t, secretAuth+"events: { max_lifetime: 0s }\nlimits: { body: 1GiB, headers: 1024 }\nheartbeat: { send: 0s, receive: 24h, grace: 1 }\n"), Environ: []string{}})
	require.NoError(t, err)
}
