package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
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

// TestFilesAreCompared, each that a key names: those that are read at the start, and those that a
// reload reads.
func TestFilesAreCompared(t *testing.T) {
	t.Parallel()
	var found []string
	eachFile(reflect.ValueOf(new(Config)).Elem(), "", func(key string, c *Config, set func(string)) {
		found = append(found, key)
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, []byte("before"), 0o600))
		set(file)
		fixed, others := SumFixedFiles(c), SumReloadedFiles(c)
		require.Equal(t, 1, len(fixed)+len(others), key)
		sum := SumReloadedFiles
		before := others
		if len(fixed) > 0 {
			sum, before = SumFixedFiles, fixed
		}
		require.Empty(t, sum(c).ChangedSince(before))
		require.NoError(t, os.WriteFile(file, []byte("after"), 0o600))
		require.Equal(t, []string{key}, sum(c).ChangedSince(before))
		require.NoError(t, os.Remove(file))
		require.Len(t, sum(c).ChangedSince(before), 1)
	})
	require.Contains(t, found, "auth.jwt.keys, entry 1.file")
	require.Contains(t, found, "stomp.tls.cert")
	require.Len(t, found, len(fixedFiles(oneOfEach()))+len(reloadedFiles(oneOfEach())))
}

// oneOfEach has an entry in each list whose entries name files.
func oneOfEach() *Config {
	return &Config{App: App{Webhooks: []Webhook{{}}}, Auth: Auth{JWT: JWT{Keys: []Key{{}}}, Logins: []Login{{}}}}
}

// eachFile visits the keys whose values are names of files, each in a configuration of its own.
func eachFile(v reflect.Value, path string, visit func(key string, c *Config, set func(string))) {
	var walk func(v reflect.Value, path string, at []int)
	walk = func(v reflect.Value, path string, at []int) {
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("mapstructure")
			key, here := strings.TrimPrefix(path+"."+name, "."), append(slices.Clone(at), i)
			field := v.Field(i)
			switch {
			case field.Kind() == reflect.Struct:
				walk(field, key, here)
			case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
				walk(reflect.New(field.Type().Elem()).Elem(), key+", entry 1", append(here, 0))
			case field.Kind() == reflect.String && namesFile(key, name):
				c := oneOfEach()
				visit(key, c, func(file string) {
					target := reflect.ValueOf(c).Elem()
					for _, n := range here {
						if target.Kind() == reflect.Slice {
							target = target.Index(n)
						} else {
							target = target.Field(n)
						}
					}
					target.SetString(file)
				})
			}
		}
	}
	walk(v, path, nil)
}

func namesFile(key, name string) bool {
	return strings.HasSuffix(name, "_file") || slices.Contains([]string{"cert", "ca", "crl", "credentials", "file"}, name) || strings.HasSuffix(key, "tls.key")
}

// TestAChangeThatSomethingElseOverridesIsNamed: a variable or a flag wins over the file.
func TestAChangeThatSomethingElseOverridesIsNamed(t *testing.T) {
	t.Parallel()
	read := func(text string) *Locations {
		file := filepath.Join(t.TempDir(), "stompbox.yaml")
		require.NoError(t, os.WriteFile(file, []byte(secret+text), 0o600))
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.String("log-level", "", "")
		require.NoError(t, flags.Parse([]string{"--log-level", "warn"}))
		_, where, faults := Read(Source{File: file, Environ: []string{"STOMPBOX_LIMITS_SUBSCRIPTIONS=5", "STOMPBOX_LOG_LEVEL=info"}, Flags: map[string]*pflag.Flag{"log.level": flags.Lookup("log-level")}})
		require.NoError(t, where.Join(faults))
		where.file = "stompbox.yaml"
		return where
	}
	one := read("limits: { subscriptions: 10, headers: 30 }\n")
	require.Empty(t, one.OverriddenSince(nil))
	require.Empty(t, one.OverriddenSince(read("limits: { subscriptions: 10, headers: 50 }\n")))
	require.Equal(t, []string{
		"limits.subscriptions has changed in stompbox.yaml, which has no effect: STOMPBOX_LIMITS_SUBSCRIPTIONS sets it",
		"log.level has changed in stompbox.yaml, which has no effect: --log-level sets it",
	}, read("limits: { subscriptions: 20 }\nlog: { level: debug }\n").OverriddenSince(one))
}
