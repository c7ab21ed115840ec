package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refused are configurations that serve cannot start with, and what both commands say.
var refused = map[string]struct{ text, says string }{
	"key file":           {"auth: { jwt: { key_file: DIR/none.pem } }", `c.yaml:1: auth.jwt key "": open DIR/none.pem`},
	"key that is none":   {"auth: { jwt: { key_file: DIR/text } }", `c.yaml:1: auth.jwt key ""`},
	"secret file":        {"auth:\n  jwt: { secret_file: DIR/none }", `c.yaml:2: auth.jwt key "": open DIR/none`},
	"short secret":       {"auth: { jwt: { secret: short } }", `c.yaml:1: auth.jwt key ""`},
	"algorithm":          {"auth: { jwt: { algorithm: HS1, secret: 0123456789abcdef0123456789abcdef } }", `HS1`},
	"two keys":           {"auth: { jwt: { keys: [ { id: a, file: DIR/none }, { id: b, secret: short } ] } }", `auth.jwt key "b"`},
	"key set":            {"auth: { jwt: { jwks_url: ftp://x } }", `c.yaml:1: auth.jwt.jwks_url: it is not an http or https URL`},
	"key set over http":  {"auth: { jwt: { jwks_url: http://example.com/ } }", `auth.jwt.jwks_url: http://example.com is not encrypted`},
	"passcode hash":      {"auth:\n  logins:\n    - { login: a, passcode_hash: x }\n    - { login: b, passcode_hash: y }", `login "b": its passcode hash is not a bcrypt hash`},
	"longer hash":        {"auth:\n  logins:\n    - { login: a, passcode_hash: '$2a$04$" + strings.Repeat("a", 53) + " b' }", `login "a": its passcode hash is not a bcrypt hash: it has more than 60 characters`},
	"cluster of itself":  {secretText + "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['localhost:6222'] }", `c.yaml:3: cluster.peers has only this node`},
	"grant of a role":    {secretText + "  roles: { Boss: { send: [nonsense] } }", `c.yaml:3: auth.roles[Boss]: send pattern "nonsense"`},
	"default grant":      {secretText + "  default: { send: [nonsense] }", `c.yaml:3: auth.default: send pattern "nonsense"`},
	"certificate":        {secretText + "http: { tls: { cert: DIR/none, key: DIR/none } }", `c.yaml:3: http.tls: open DIR/none`},
	"certificate of TCP": {secretText + "stomp: { listen: '127.0.0.1:0', tls: { cert: DIR/text, key: DIR/text } }", `c.yaml:3: stomp.tls: `},
	"admin certificate":  {secretText + "admin: { listen: '127.0.0.1:0', tls: { cert: DIR/none, key: DIR/none } }", `c.yaml:3: admin.tls: open DIR/none`},
	"admin token":        {secretText + "admin: { listen: '127.0.0.1:0', token_file: DIR/none }", `c.yaml:3: admin.token: open DIR/none`},
	"metrics token":      {secretText + "metrics: { listen: '127.0.0.1:0', token: short }", `c.yaml:3: metrics.token: it has 5 bytes`},
	"CA of NATS":         {secretText + "nats: { url: 'nats://127.0.0.1:1', ca: DIR/text }", `c.yaml:3: nats.ca: DIR/text: it holds no certificate`},
	"NATS credentials":   {secretText + "nats: { url: 'nats://127.0.0.1:1', credentials: DIR/none }", `c.yaml:3: nats.credentials: open DIR/none`},
	"prefix":             {secretText + "nats: { prefix: 'a b' }", `c.yaml:3: nats.prefix: relay: the prefix "a b"`},
	"certificate of routes": {secretText + "cluster: { listen: '127.0.0.1:6222', node: a, tls: { cert: DIR/none, key: DIR/none, ca: DIR/none } }",
		`c.yaml:3: cluster.tls: open DIR/none`},
	"name of a cluster":    {secretText + "cluster: { listen: '127.0.0.1:6222', node: a, name: 'a b' }", `cluster name cannot contain spaces`},
	"folder":               {secretText + "data_dir: DIR/text", `c.yaml:3: data_dir: DIR/text is not a folder`},
	"data of a node alone": {secretText + "data_dir: DIR/alone\ncluster: { listen: '127.0.0.1:6222', node: a }", `c.yaml:3: data_dir: relay: the data directory DIR/alone: it is of a node that ran alone`},
	"port":                 {secretText + "stomp: { listen: '127.0.0.1:99999' }", `c.yaml:3: stomp.listen "127.0.0.1:99999": "99999" is no port`},
	"port of NATS":         {secretText + "nats: { listen: '127.0.0.1:nats' }", `c.yaml:3: nats.listen "127.0.0.1:nats": "nats" is no port`},
	"slow consumers":       {secretText + "outbox: { policy: drop }", `c.yaml:3: outbox.policy: unknown slow-consumer policy "drop"`},
	"name of a history":    {secretText + "history: { policies: [ { name: 'a b', match: /topic/a } ] }", `c.yaml:3: history.policies: history policy "a b"`},
	"secret of a webhook":  {secretText + "app:\n  webhooks:\n    - { name: w, match: /app/w, url: 'https://a/', secret_file: DIR/none }", `c.yaml:5: app.webhooks, entry 1: webhook "w": open DIR/none`},
	"URL of a webhook":     {secretText + "app: { webhooks: [ { name: w, match: /app/w, url: nope, secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= } ] }", `webhook "w": the url is not an http or https URL`},
	"permission of a hook": {secretText + "app: { webhooks: [ { name: w, match: /app/w, url: 'https://a/', send: [x], secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= } ] }", `app.webhooks, entry 1: webhook "w": send pattern "x"`},
	"time without a unit":  {secretText + "drain: { window: 10 }", `c.yaml:3: 'drain.window' time 10 has no unit; for seconds write 10s`},
	"two unknown keys":     {secretText + "htpp: {}\nstopm: {}", `c.yaml:4: unknown key "stopm"; did you mean "stomp"?`},
}

const secretText = "auth:\n  jwt: { secret: 0123456789abcdef0123456789abcdef }\n"

// TestConfigCheckRefusesWhatServeRefuses, in the same words: they take the same way.
func TestConfigCheckRefusesWhatServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), []byte("neither a key nor a certificate\n"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "alone", "nats", "jetstream", "$G", "streams", "s"), 0o700))
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "c.yaml")
			text := strings.ReplaceAll(tt.text, "DIR", dir)
			for key, rest := range map[string]string{"http": "{ listen: '127.0.0.1:0' }", "data_dir": t.TempDir()} {
				if !strings.Contains(text, "\n"+key+":") {
					text += "\n" + key + ": " + rest
				}
			}
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			_, checked, err := run(t, nil, "config", "check", "-c", file)
			require.Error(t, err, "config check takes it")
			require.Contains(t, checked, strings.ReplaceAll(tt.says, "DIR", dir))
			_, served, err := run(t, nil, "serve", "-c", file)
			require.Error(t, err)
			require.Equal(t, checked, served)
		})
	}
}

// TestConfigCheckTakesWhatServeTakes: bodies that are larger than the embedded server's
// usual bounds, and all that is off.
func TestConfigCheckTakesWhatServeTakes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(file, []byte("dev: true\nlimits: { body: 100MiB }\nheartbeat: { send: 0, receive: 0s }\nhistory: { policies: [ { name: a, match: /topic/a } ] }\n"), 0o600))
	out, stderr, err := run(t, nil, "config", "check", "-c", file)
	require.NoError(t, err, stderr)
	require.Contains(t, out, "the configuration is fine")
	p := serve(t, nil, "-c", file)
	p.stop(t)
}

// TestSettingsWithoutEffectAreNamed by config check, by doctor, at the start, and by a reload.
func TestSettingsWithoutEffectAreNamed(t *testing.T) {
	t.Parallel()
	const says = "no effect without cluster.listen: cluster.user, cluster.password"
	text := testSecret + "cluster: { user: a, password: a password of clusters in tests, node: a }\n"
	r := serveReloadable(t, text)
	r.says(t, `level=WARN msg="some settings have no effect" node=a why="`+says+`"`)
	require.NotContains(t, r.stderr.String(), "stomp.tls")
	out, stderr, err := run(t, nil, "config", "check", "-c", r.file)
	require.NoError(t, err)
	require.Equal(t, "stompbox: warning: "+says+"\n", stderr)
	require.Contains(t, out, "the configuration is fine")
	out, _, _ = run(t, nil, "doctor", "-c", r.file, "--timeout", "1s")
	require.Regexp(t, `warn +configuration +some settings have no effect: `+says, out)
	require.Equal(t, []string{says}, r.reload(text).Warnings)
	require.Empty(t, r.reload(testSecret+"cluster: { node: a }\n").Warnings)
	r.stop(t)
}

// TestConfigCheckKnowsHowTracesGo: what serve could not export is named before it starts.
func TestConfigCheckKnowsHowTracesGo(t *testing.T) {
	t.Parallel()
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}
	for _, args := range [][]string{{"config", "check", "--dev"}, {"serve", "--dev", "--http", "127.0.0.1:0", "--data-dir", t.TempDir()}} {
		_, stderr, err := run(t, env, args...)
		require.Error(t, err, args)
		require.Contains(t, stderr, `OTEL_EXPORTER_OTLP_PROTOCOL "grpc" is not supported`)
	}
}
