package config_test

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestAllFaultsAreNamedWithTheirPlaces: the line of the file, the variable or the flag.
func TestAllFaultsAreNamedWithTheirPlaces(t *testing.T) {
	t.Parallel()
	file := write(t, strings.Join([]string{
		/* 1 */ "http:",
		/* 2 */ "  listen: 127.0.0.1:1",
		/* 3 */ "  lissten: x",
		/* 4 */ "Limits: { body: many, connect_timeout: 10,",
		/* 5 */ "  idle_timeout: 20000000, write_timeout: 0 }",
		/* 6 */ "drain.window: 30000000000",
		/* 7 */ "queues:",
		/* 8 */ "  policies:",
		/* 9 */ "    - match: /queue/a",
		/* 10 */ "      max_age: 5000000",
		/* 11 */ "      max_agee: 5s",
		/* 12 */ "    - { match: 'x' }",
		/* 13 */ "auth:",
		/* 14 */ "  roles:",
		/* 15 */ "    Boss.One: { send: [] }",
		/* 16 */ "    TWO:",
		/* 17 */ "      sned: []",
		/* 18 */ "  logins:",
		/* 19 */ "    - { login: a, role: nobody }",
		/* 20 */ "    - { logn: b }",
		/* 21 */ "outbox: { policy: drop }",
		/* 22 */ "log: { level: debug }",
		/* 23 */ "zzzzqqqq: 1",
		/* 24 */ "stomp: { listen: localhost }",
	}, "\n"))
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("metrics", "", "")
	require.NoError(t, flags.Parse([]string{"--metrics", "nowhere"}))
	_, err := config.Load(config.Source{
		File: file, Flags: map[string]*pflag.Flag{"metrics.listen": flags.Lookup("metrics")},
		Environ: []string{"STOMPBOX_LOG_LEVEL=loud", "STOMPBOX_OUTBOX_POLCY=x", "STOMPBOX_SOCKJS_MAX_PENDING=none"},
	})
	require.Error(t, err)
	text := strings.ReplaceAll(err.Error(), file, "f")
	for _, want := range []string{
		`f:3: unknown key "http.lissten"; did you mean "http.listen"?`,
		`f:4: 'limits.body' `,
		`f:4: 'limits.connect_timeout' time 10 has no unit; for seconds write 10s`,
		`f:5: 'limits.idle_timeout' time 20000000 has no unit`,
		`f:5: limits.write_timeout cannot be 0; leave it out for the default of 20s`,
		`f:6: 'drain.window' time 30000000000 has no unit`,
		`f:10: 'queues.policies[0].max_age' time 5000000 has no unit`,
		`f:11: unknown key "queues.policies.max_agee"; did you mean "queues.policies.max_age"?`,
		`f:12: queues.policies, entry 2: match "x"`,
		`f:17: unknown key "auth.roles.TWO.sned"; did you mean "auth.roles.TWO.send"?`,
		`f:19: auth.logins, entry 1: login "a" has role "nobody"`,
		`f:20: unknown key "auth.logins.logn"; did you mean "auth.logins.login"?`,
		`f:21: outbox.policy: unknown slow-consumer policy "drop"`,
		`f:23: unknown key "zzzzqqqq"; stompbox.example.yaml explains all keys`,
		`f:24: stomp.listen "localhost" is not host:port`,
		`--metrics: metrics.listen "nowhere" is not host:port`,
		`STOMPBOX_LOG_LEVEL: log.level "loud" is not debug`,
		`STOMPBOX_SOCKJS_MAX_PENDING: 'sockjs.max_pending' "none" is not a whole number, such as 100`,
		`unknown variable "STOMPBOX_OUTBOX_POLCY"; did you mean "STOMPBOX_OUTBOX_POLICY"?`,
	} {
		require.Contains(t, "\n"+text+"\n", want)
	}
	require.Equal(t, 19, strings.Count(text, "\n")+1, text)
}

// TestWhatYAMLAllowsIsAllowed: keys with dots, merged maps and anchors.
func TestWhatYAMLAllowsIsAllowed(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{Environ: []string{}, File: write(t, secretAuth+`
drain.window: 3s
queues:
  policies:
    - &small { match: /queue/a, max_messages: 5, max_age: 1h }
    - { <<: *small, match: /queue/b }
    - *small
limits: { user_connections: 0, connect_timeout: 1m }
`)})
	require.NoError(t, err)
	require.Equal(t, "3s", c.Drain.Window.String())
	require.Len(t, c.Queues.Policies, 3)
	require.Equal(t, "/queue/b", c.Queues.Policies[1].Match)
	require.EqualValues(t, 5, c.Queues.Policies[1].MaxMessages)
	_, err = config.Load(config.Source{Environ: []string{}, File: write(t, secretAuth+"queues: { policies: [ &a { match: /queue/a, max_agee: 1h }, *a ] }\n")})
	require.ErrorContains(t, err, "max_agee")
}
