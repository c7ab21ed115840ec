package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const secret = "auth:\n  jwt:\n    secret: 0123456789abcdef0123456789abcdef\n"

func TestFlagsWinOverVariablesOverFileOverDefaults(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("http", "", "")
	require.NoError(t, flags.Parse([]string{"--http", "127.0.0.1:3"}))
	file := write(t, secret+"http:\n  listen: 127.0.0.1:1\nstomp:\n  listen: 127.0.0.1:1\nlimits:\n  connect_timeout: 3s\n")
	c, err := config.Load(config.Source{File: file, Flags: map[string]*pflag.Flag{"http.listen": flags.Lookup("http")},
		Environ: []string{"STOMPBOX_HTTP_LISTEN=127.0.0.1:2", "STOMPBOX_STOMP_LISTEN=127.0.0.1:2", "STOMPBOX_HTTP_ALLOWED_ORIGINS=https://a,https://b", "HOME=/"}})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:3", c.HTTP.Listen)
	require.Equal(t, "127.0.0.1:2", c.STOMP.Listen)
	require.Equal(t, 3*time.Second, c.Limits.ConnectTimeout)
	require.Equal(t, 20*time.Second, c.Limits.WriteTimeout)
	require.Equal(t, []string{"https://a", "https://b"}, c.HTTP.AllowedOrigins)
}

// TestServiceLinksOfKubernetesAreNoKeys: a service called stompbox, or one whose name
// begins so, sets variables in every pod of its namespace.
func TestServiceLinksOfKubernetesAreNoKeys(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: write(t, secret), Environ: []string{
		"STOMPBOX_SERVICE_HOST=10.0.0.1", "STOMPBOX_SERVICE_PORT=8080", "STOMPBOX_SERVICE_PORT_HTTP=8080", "STOMPBOX_PORT=tcp://10.0.0.1:8080",
		"STOMPBOX_PORT_8080_TCP=tcp://10.0.0.1:8080", "STOMPBOX_PORT_8080_TCP_PROTO=tcp", "STOMPBOX_PORT_8080_TCP_PORT=8080", "STOMPBOX_PORT_8080_TCP_ADDR=10.0.0.1",
		"STOMPBOX_METRICS_SERVICE_HOST=10.0.0.2", "STOMPBOX_LOG_LEVEL=debug",
	}})
	require.NoError(t, err)
	require.Equal(t, "debug", c.Log.Level)
	for _, mistake := range []string{"STOMPBOX_HTTP_PORT=8080", "STOMPBOX_PORT=8080", "STOMPBOX_SERVICE=x"} {
		_, err := config.Load(config.Source{File: write(t, secret), Environ: []string{mistake}})
		require.ErrorContains(t, err, "unknown variable")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file    string
		environ []string
		says    string
	}{
		"unknown key":           {secret + "http:\n  lissten: x\n", nil, `unknown key "http.lissten"; did you mean "http.listen"?`},
		"unknown key in a list": {"auth:\n  logins:\n    - logn: x\n", nil, `unknown key "auth.logins.logn"`},
		"unknown section":       {secret + "zzzzqqqq: 1\n", nil, "stompbox.example.yaml explains"},
		"unknown variable":      {secret, []string{"STOMPBOX_OUTBOX_POLCY=x"}, `did you mean "STOMPBOX_OUTBOX_POLICY"?`},
		"wrong type":            {secret + "limits:\n  body: many\n", nil, "limits.body"},
		"no credentials":        {"http:\n  listen: 127.0.0.1:1\n", nil, "set auth.jwt.secret"},
		"dev beyond loopback":   {"dev: true\nhttp:\n  listen: 0.0.0.0:80\n", nil, "beyond loopback"},
		"address without port":  {secret + "http:\n  listen: localhost\n", nil, "is not host:port"},
		"half of TLS":           {secret + "http:\n  tls:\n    cert: x\n", nil, "both cert and key"},
		"open NATS":             {secret + "nats:\n  listen: 0.0.0.0:4222\n", nil, "set nats.user and nats.password"},
		"open cluster":          {secret + "cluster:\n  listen: 0.0.0.0:6222\n  node: a\n", nil, "set cluster.user and cluster.password"},
		"nameless node":         {secret + "cluster:\n  listen: 127.0.0.1:6222\n", nil, "needs cluster.node"},
		"replicas alone":        {secret + "queues:\n  replicas: 3\n", nil, "queues.replicas needs a cluster"},
		"transient":             {secret + "queues:\n  transient: ['(']\n", nil, "queues.transient"},
		"queue policy":          {secret + "queues:\n  policies:\n    - { match: 'x' }\n", nil, "queues.policies, entry 1"},
		"sync":                  {secret + "data:\n  sync: often\n", nil, "neither always nor a time"},
		"unknown role":          {"auth:\n  logins:\n    - login: x\n      role: boss\n", nil, `role "boss"`},
		"role of two names":     {"auth:\n  roles: { Boss: {}, BOSS: {} }\n  logins:\n    - login: x\n      role: boss\n", nil, `role "boss", which auth.roles does not define`},
		"unknown key of a role": {secret + "  roles: { Boss: { sned: [] } }\n", nil, `unknown key "auth.roles.Boss.sned"`},
		"role that is a list":   {secret + "  roles: { Boss: [\"/topic/a\", \"/topic/b\"] }\n", nil, "auth.roles[Boss]"},
		"roles that are a list": {secret + "  roles: [Boss, Staff]\n", nil, "auth.roles"},
		"roles in a variable":   {secret, []string{"STOMPBOX_AUTH_ROLES=boss"}, "auth.roles"},
		"key twice":             {secret + "auth: {}\n", nil, "already defined"},
		"nameless webhook":      {secret + "app:\n  webhooks:\n    - { match: /app/x }\n", nil, "app.webhooks, entry 1: it needs a name"},
		"webhook of a topic":    {secret + "app:\n  webhooks:\n    - { name: x, match: /topic/x }\n", nil, "not a pattern of /app destinations"},
		"two webhooks":          {secret + "app:\n  webhooks:\n    - { name: x, match: /app/x }\n    - { name: x, match: /app/y }\n", nil, `two are called "x"`},
		"SockJS transport":      {secret + "sockjs:\n  transports: [websocket, flash]\n", nil, `sockjs.transports: there is no "flash"; use websocket, xhr-streaming`},
		"SockJS sessions":       {secret + "sockjs:\n  max_pending: 0\n", nil, "sockjs.max_pending 0 has to be at least 1"},
		"log level":             {secret + "log:\n  level: loud\n", nil, `log.level "loud"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.environ == nil {
				tt.environ = []string{}
			}
			_, err := config.Load(config.Source{File: write(t, tt.file), Environ: tt.environ})
			require.ErrorContains(t, err, tt.says)
		})
	}
	_, err := config.Load(config.Source{File: "/nowhere.yaml", Environ: []string{}})
	require.ErrorContains(t, err, "cannot read /nowhere.yaml")
}

// TestTheExampleIsComplete: every key is in the example, and the example loads.
func TestTheExampleIsComplete(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: "../../stompbox.example.yaml", Environ: []string{}})
	require.NoError(t, err)
	require.NotEmpty(t, c.Auth.Roles)
	text, err := os.ReadFile("../../stompbox.example.yaml")
	require.NoError(t, err)
	for _, key := range config.Keys() {
		require.Contains(t, string(text), key, "the example has to explain every key")
	}
}
