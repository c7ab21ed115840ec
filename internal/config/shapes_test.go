package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestValuesOfAnotherShapeAreNamed: each of them was taken for the default, for nothing, or for
// another number.
func TestValuesOfAnotherShapeAreNamed(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"limits: { headers: }":                                            "stompbox.yaml:4: limits.headers has no value; give it one, or leave it out for the default of 64",
		"limits: { headers: '' }":                                         "limits.headers is empty",
		"limits: { headers: ' ' }":                                        "limits.headers is empty",
		"limits: { headers: 0100 }":                                       "limits.headers 0100 begins with 0",
		"limits: { headers: '0100' }":                                     "limits.headers 0100 begins with 0",
		"limits: { headers: '0x40' }":                                     `'limits.headers' "0x40" is not a whole number`,
		"limits: { headers: sixty }":                                      `'limits.headers' "sixty" is not a whole number`,
		"limits: { headers: .inf }":                                       "is not a whole number",
		"limits: { headers: 99999999999999999999 }":                       "'limits.headers' 1e+20 is more than a number can be",
		"limits: { headers: '99999999999999999999' }":                     "'limits.headers' 99999999999999999999 is more than a number can be",
		"limits: { headers: {} }":                                         "limits.headers has one value, and cannot be a table",
		"limits: { headers: [] }":                                         "limits.headers has one value, and cannot be a list",
		"limits: { message_rate: {} }":                                    "limits.message_rate has one value, and cannot be a table",
		"limits: { message_rate: ~ }":                                     "limits.message_rate has no value",
		"limits: { body: ~ }":                                             "limits.body has no value; give it one, or leave it out for the default of 4MiB",
		"drain: { window: }":                                              "drain.window has no value; give it one, or leave it out for the default of 5s",
		"queues: { max_age: {} }":                                         "queues.max_age has one value",
		"heartbeat: { grace: '' }":                                        "heartbeat.grace is empty",
		"heartbeat: { grace: much }":                                      `'heartbeat.grace' "much" is not a number`,
		"http: { compression: '' }":                                       "http.compression is empty",
		"http: { compression: }":                                          "http.compression has no value",
		"http: { compression: {} }":                                       "http.compression has one value",
		"http: { compression: yes please }":                               `'http.compression' "yes please" is neither true nor false`,
		"http: { listen: }":                                               "http.listen has no value; give it one, or leave it out for the default of 127.0.0.1:8080",
		"http: { listen: [ '127.0.0.1:1' ] }":                             "http.listen has one value, and cannot be a list",
		"http: '127.0.0.1:1'":                                             `http has keys below it, and cannot be the value "127.0.0.1:1"`,
		"http: []":                                                        "http has keys below it, and cannot be a list",
		"http: { tls: cert.pem }":                                         `http.tls has keys below it, and cannot be the value "cert.pem"`,
		"http: { allowed_origins: { a: b } }":                             "http.allowed_origins is a list, and cannot be a table",
		"http: { allowed_origins: [ 'https://a', ~ ] }":                   "http.allowed_origins, entry 2 is empty",
		"http: { allowed_origins: [ [ 'https://a' ] ] }":                  "http.allowed_origins, entry 1 has one value, and cannot be a list",
		"sockjs: { transports: }":                                         "sockjs.transports has no value",
		"queues: { policies: { match: /queue/a } }":                       "queues.policies is a list with keys in each entry, and cannot be a table; begin each entry with -",
		"queues: { policies: '' }":                                        `queues.policies is a list with keys in each entry, and cannot be the value ""`,
		"queues: { policies: [ { match: /queue/a, max_age: } ] }":         "queues.policies, entry 1.max_age has no value",
		"queues: { policies: [ { match: /queue/a }, /queue/b ] }":         `queues.policies, entry 2 has keys below it, and cannot be the value "/queue/b"`,
		"queues: { policies: [ { match: /queue/a, max_messages: 010 } ]}": "queues.policies, entry 1.max_messages 010 begins with 0",
		"queues: { policies: [ &a { match: /queue/a, max_age: ~ }, { <<: [ *a ], match: /queue/b } ] }": "max_age has no value",
	} {
		_, err := config.Load(config.Source{File: write(t, secret+text+"\n"), Environ: []string{}})
		require.ErrorContains(t, err, says, text)
	}
	for variable, says := range map[string]string{
		"STOMPBOX_LIMITS_HEADERS=010":   "STOMPBOX_LIMITS_HEADERS: 'limits.headers' 010 begins with 0",
		"STOMPBOX_HTTP_COMPRESSION=on":  `'http.compression' "on" is neither true nor false`,
		"STOMPBOX_QUEUES_POLICIES=":     "the variable STOMPBOX_QUEUES_POLICIES cannot set queues.policies",
		"STOMPBOX_AUTH_LOGINS=a":        "the variable STOMPBOX_AUTH_LOGINS cannot set auth.logins",
		"STOMPBOX_AUTH_ROLES=":          "the variable STOMPBOX_AUTH_ROLES cannot set auth.roles",
		"STOMPBOX_HEARTBEAT_GRACE=2,5":  `'heartbeat.grace' "2,5" is not a number`,
		"STOMPBOX_LIMITS_MESSAGE_RATE=": "the variable STOMPBOX_LIMITS_MESSAGE_RATE is empty",
	} {
		_, err := config.Load(config.Source{File: write(t, secret), Environ: []string{variable}})
		require.ErrorContains(t, err, says, variable)
	}
}

// TestWhatMeansTheSameIsTaken: sections without keys, texts without a value whose default is none,
// and spaces around numbers.
func TestWhatMeansTheSameIsTaken(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{
		File:    write(t, secret+"http:\nlog: {}\nnats: { url: , tls: { cert: , key: } }\nqueues: { policies: }\nlimits: { headers: '100', body: 1.5MiB, user_connections: 1e4 }\nhistory: { policies: [] }\n"),
		Environ: []string{"STOMPBOX_LIMITS_TRANSACTIONS= 7 ", "STOMPBOX_SOCKJS_COOKIE= true ", "STOMPBOX_HEARTBEAT_GRACE= 3 ", "STOMPBOX_DRAIN_WINDOW= 2s "},
	})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", c.HTTP.Listen)
	require.Equal(t, []int{100, 10_000, 7}, []int{c.Limits.Headers, c.Limits.UserConnections, c.Limits.Transactions})
	require.True(t, c.SockJS.Cookie)
	require.InDelta(t, 3, c.HeartBeat.Grace, 0)
	require.Equal(t, "2s", c.Drain.Window.String())
}

// TestALineOfATwiceMergedEntryIsKnown: what a merged list of tables sets is not left out.
func TestALineOfATwiceMergedEntryIsKnown(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{Environ: []string{}, File: write(t, secret+`
queues:
  max_messages: 7
  policies:
    - &few { match: /queue/a, max_messages: 5 }
    - &old { match: /queue/b, max_age: 1h }
    - { <<: [ *few, *old ], match: /queue/c }
`)})
	require.NoError(t, err)
	require.EqualValues(t, 5, c.Queues.Policies[2].MaxMessages)
	require.Equal(t, "1h0m0s", c.Queues.Policies[2].MaxAge.String())
}
