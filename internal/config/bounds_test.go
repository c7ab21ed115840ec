package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestValuesWithWhichNoClientCouldWorkAreRefused: the error has the key, the value, what would
// happen, and what to write.
func TestValuesWithWhichNoClientCouldWorkAreRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"limits: { headers: 1 }":                                                 "limits.headers 1 is too small: a CONNECT has up to 8 headers; use 8 or more",
		"limits: { headers: 0 }":                                                 "limits.headers cannot be 0; leave it out for the default of 64",
		"limits: { header_line: 1B }":                                            "limits.header_line 1B is too small: a token, or a destination, has to fit into one; use 256B or more",
		"limits: { destination: 1B }":                                            "limits.destination 1B is too small",
		"limits: { body: 1B }":                                                   "limits.body 1B is too small: no message would fit; use 64B or more",
		"limits: { connect_timeout: 1ms }":                                       "limits.connect_timeout 1ms is too short: no client would connect in time; use 1s or more",
		"limits: { idle_timeout: 1ms }":                                          "limits.idle_timeout 1ms is too short",
		"limits: { frame_timeout: 1ms }":                                         "limits.frame_timeout 1ms is too short",
		"limits: { write_timeout: 1ms }":                                         "limits.write_timeout 1ms is too short",
		"limits: { user_memory_bytes: 1B }":                                      "limits.user_memory_bytes 1B is too small: nothing would fit; use 16KiB or more, or 0",
		"limits: { user_byte_rate: 1B }":                                         "limits.user_byte_rate 1B is too small: no message would be accepted; use 64B or more, or 0",
		"limits: { node_memory_share: 0.0001 }":                                  "limits.node_memory_share 0.0001 is not 0.01 to 1, or 0",
		"http: { max_message: 1B }":                                              "http.max_message 1B is too small: a CONNECT with a token would not fit; use 1KiB or more, or 0",
		"heartbeat: { send: 1ms }":                                               "heartbeat.send 1ms is too short: it would be busy with that alone; use 100ms or more, or 0",
		"heartbeat: { receive: 1ms }":                                            "heartbeat.receive 1ms is too short",
		"events: { heartbeat: 1ms }":                                             "events.heartbeat 1ms is too short",
		"events: { retry: 1ms }":                                                 "events.retry 1ms is too short",
		"events: { max_lifetime: 1ms }":                                          "events.max_lifetime 1ms is too short",
		"outbox: { max_bytes: 1B }":                                              "outbox.max_bytes 1B is too small",
		"outbox: { max_frames: 1 }":                                              "outbox.max_frames 1 is too small",
		"data: { max_bytes: 1B }":                                                "data.max_bytes 1B is too small: the store would be full at once; use 1MB or more, or 0",
		"queues: { max_bytes: 1B }":                                              "queues.max_bytes 1B is too small",
		"sockjs: { max_bodies: 1B }":                                             "sockjs.max_bodies 1B is too small",
		"drain: { window: 1000h }":                                               "drain.window 1000h is more than 24h: a stop would not end",
		"drain: { timeout: 1000h }":                                              "drain.timeout 1000h is more than 24h",
		"queues: { policies: [ { match: /queue/a, max_bytes: 1B } ] }":           "queues.policies, entry 1.max_bytes 1B is too small",
		"history: { policies: [ { name: a, match: /topic/a, max_bytes: 1B } ] }": "history.policies, entry 1.max_bytes 1B is too small",
		"app: { webhooks: [ { name: a, match: /app/a, url: 'http://127.0.0.1/', timeout: 1ms } ] }": "app.webhooks, entry 1.timeout 1ms is too short",
	} {
		_, err := config.Load(config.Source{File: write(t, secretAuth+text), Environ: []string{}})
		require.ErrorContains(t, err, says, text)
	}
	for text, says := range map[string]string{
		"leeway: 2000h":       "auth.jwt.leeway 2000h is more than 1h: tokens that expired stay valid for so long",
		"jwks_refresh: 1000h": "auth.jwt.jwks_refresh 1000h is more than 720h",
	} {
		_, err := config.Load(config.Source{File: write(t, "auth: { jwt: { secret: 0123456789abcdefghijklmnopqrstuv, "+text+" } }"), Environ: []string{}})
		require.ErrorContains(t, err, says)
	}
}

// TestASmallSiteMayHaveSmallLimits: what a site with logins and short messages may use.
func TestASmallSiteMayHaveSmallLimits(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Source{Environ: []string{}, File: write(t, secretAuth+`
http: { max_message: 1KiB }
limits: { headers: 8, header_line: 256B, destination: 32B, body: 64B, connect_timeout: 1s, idle_timeout: 1s, user_memory_bytes: 16KiB, connections: 1, subscriptions: 1 }
heartbeat: { send: 300ms, receive: 300ms }
events: { retry: 300ms, max_lifetime: 3s, heartbeat: 1s }
outbox: { max_frames: 16, max_bytes: 16KiB }
data: { max_bytes: 1MB }
queues: { max_messages: 1, prefetch: 1 }
drain: { window: 0s, timeout: 24h }
`)})
	require.NoError(t, err)
}
