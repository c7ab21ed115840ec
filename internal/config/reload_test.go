package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEachKeyIsReloadableOrFixed: a new key has to say which.
func TestEachKeyIsReloadableOrFixed(t *testing.T) {
	t.Parallel()
	for _, key := range leafKeys() {
		reasons := 0
		for entry := range fixed {
			if under([]string{entry}, key) {
				reasons++
			}
		}
		if under(reloadable, key) {
			require.Zero(t, reasons, "%s is in both", key)
		} else {
			require.Equal(t, 1, reasons, "%s is to be in reloadable or in fixed", key)
		}
	}
	for _, entry := range reloadable {
		require.NotEmpty(t, keysUnder(entry), entry)
	}
	for entry := range fixed {
		require.NotEmpty(t, keysUnder(entry), entry)
	}
}

func keysUnder(entry string) (keys []string) {
	for _, key := range leafKeys() {
		if under([]string{entry}, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(Source{File: fileWith(t, text), Environ: []string{}})
	require.NoError(t, err)
	return c
}

const secret = "auth: { jwt: { secret: 0123456789abcdef0123456789abcdef } }\n"

func TestAReloadChangesWhatItCanAndNamesTheRest(t *testing.T) {
	t.Parallel()
	old := load(t, secret+"http: { tls: { cert: a, key: b } }\nqueues: { policies: [ { match: /queue/a, max_messages: 1 } ] }\n")
	next := load(t, secret+`
dev: false
http: { listen: "127.0.0.1:1", tls: { cert: c, key: d }, allowed_origins: ["https://a.example"] }
stomp: { tls: { cert: a, key: b } }
limits: { body: 5MB, headers: 10 }
queues: { max_age: 1h, policies: [ { match: /queue/a, max_messages: 1, max_age: 1h }, { match: /queue/b, max_deliveries: 3 } ] }
log: { level: debug, format: json }
app: { webhooks: [ { name: a, match: /app/a, url: "http://127.0.0.1/", secret: 0123456789012345678901234 } ] }
`)
	effective, changed, kept, err := old.Reload(next, old)
	require.NoError(t, err)
	require.Equal(t, []string{"http.allowed_origins", "http.tls.cert", "http.tls.key", "limits.headers", "log.level", "queues.max_age", "queues.policies"}, changed)
	var names []string
	for _, key := range kept {
		require.NotEmpty(t, key.Why)
		names = append(names, key.Key)
	}
	require.Equal(t, []string{"app.webhooks", "http.listen", "limits.body", "log.format", "stomp.tls.cert", "stomp.tls.key"}, names)
	require.Equal(t, "127.0.0.1:8080", effective.HTTP.Listen)
	require.Equal(t, TLS{"c", "d"}, effective.HTTP.TLS)
	require.Equal(t, "debug", effective.Log.Level)
	require.Equal(t, "text", effective.Log.Format)
	require.Equal(t, 10, effective.Limits.Headers)
	require.Equal(t, old.Limits.Body, effective.Limits.Body)
	require.Empty(t, effective.App.Webhooks)
	require.Equal(t, "127.0.0.1:1", next.HTTP.Listen, "it is left as it was")

	again, changed, kept, err := effective.Reload(next, old)
	require.NoError(t, err)
	require.Empty(t, changed)
	require.Len(t, kept, len(names), "what waits for a restart is named each time")
	require.Equal(t, effective, again)

	_, _, kept, err = old.Reload(load(t, secret+"http: { tls: { cert: a, key: b } }\nqueues: { policies: [ { match: /queue/a, max_messages: 2 } ] }\n"), old)
	require.NoError(t, err)
	require.Equal(t, []KeyReason{{"queues.policies", whyPlace}}, kept)
}

// TestAReloadThatLeavesTooLittleIsRefused: what stays and what changes have to go together.
func TestAReloadThatLeavesTooLittleIsRefused(t *testing.T) {
	t.Parallel()
	old := load(t, secret)
	_, _, _, err := old.Reload(load(t, "dev: true\n"), old)
	require.ErrorContains(t, err, "no client could authenticate")
}

// TestALimitOfBodiesIsRaisedAgain up to that of the start, for which NATS was set up.
func TestALimitOfBodiesIsRaisedAgain(t *testing.T) {
	t.Parallel()
	started := load(t, secret+"limits: { body: 4MiB }\n")
	lowered, changed, kept, err := started.Reload(load(t, secret+"limits: { body: 1MiB }\n"), started)
	require.NoError(t, err)
	require.Equal(t, []string{"limits.body"}, changed)
	require.Empty(t, kept)
	raised, changed, kept, err := lowered.Reload(load(t, secret+"limits: { body: 4MiB }\n"), started)
	require.NoError(t, err)
	require.Equal(t, []string{"limits.body"}, changed)
	require.Empty(t, kept)
	require.Equal(t, Size(4<<20), raised.Limits.Body)
	_, changed, kept, err = lowered.Reload(load(t, secret+"limits: { body: 4097KiB }\n"), started)
	require.NoError(t, err)
	require.Empty(t, changed)
	require.Len(t, kept, 1)
}

// TestFilesThatAreReadAtTheStartAreCompared, each of them.
func TestFilesThatAreReadAtTheStartAreCompared(t *testing.T) {
	t.Parallel()
	for key := range fixedFiles(&Config{App: App{Webhooks: []Webhook{{}}}}) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, []byte("before"), 0o600))
		c := new(Config)
		switch key {
		case "app.webhooks, entry 1.secret_file":
			c.App.Webhooks = []Webhook{{SecretFile: file}}
		case "app.webhooks, entry 1.previous.secret_file":
			c.App.Webhooks = []Webhook{{Previous: Previous{SecretFile: file}}}
		default:
			fieldOf(c, key).SetString(file)
		}
		before := SumFixedFiles(c)
		require.Empty(t, SumFixedFiles(c).ChangedSince(before))
		require.NoError(t, os.WriteFile(file, []byte("after"), 0o600))
		changed := SumFixedFiles(c).ChangedSince(before)
		require.Len(t, changed, 1)
		require.Equal(t, key, changed[0].Key)
		require.NoError(t, os.Remove(file))
		require.Len(t, SumFixedFiles(c).ChangedSince(before), 1)
	}
}
