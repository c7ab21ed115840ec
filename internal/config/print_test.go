package config

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const toPrint = `auth:
  jwt:
    secret: 0123456789abcdef0123456789abcdef
    keys: [ { id: a, algorithm: HS256, secret: another0123456789abcdef0123456789 } ]
    jwks_url: https://user:hidden@id.example/keys?key=hidden
  logins:
    - login: a
      passcode_hash: hidden
      permissions: { send: ["/topic/{user}: #1"] }
    - { login: b, passcode_hash_file: /etc/hash }
  roles: { "https://id.example/Editor": { send: [/topic/a] } }
nats: { url: "nats://n:hidden@a:4222,nats://b:4222", user: n, password: well hidden }
queues: { policies: [ { match: /queue/a, max_bytes: 1.5GiB, max_age: 36h } ] }
limits: { body: 8388608B }
`

// TestPrintedSettingsCanBeRead again, and are what was read; no secret is among them.
func TestPrintedSettingsCanBeRead(t *testing.T) {
	t.Parallel()
	src := Source{File: fileWith(t, toPrint), Environ: []string{"STOMPBOX_HTTP_LISTEN=127.0.0.1:1", "STOMPBOX_EVENTS_RETRY=1m30s"}}
	c, where, faults := Read(src)
	require.NoError(t, where.Join(faults))
	var out bytes.Buffer
	require.NoError(t, PrintSettings(&out, c.Settings(where)))
	require.NotContains(t, out.String(), "hidden")
	require.NotContains(t, out.String(), "0123456789abcdef")
	again, where, faults := Read(Source{File: fileWith(t, out.String()), Environ: []string{}, Client: true})
	require.NoError(t, where.Join(faults), out.String())
	require.Equal(t, "***", again.Auth.JWT.Secret)
	again.Auth.JWT, again.NATS.URL, again.NATS.Password = c.Auth.JWT, c.NATS.URL, c.NATS.Password
	again.Auth.Logins[0].PasscodeHash = "hidden"
	require.True(t, reflect.DeepEqual(emptied(c), emptied(again)), "%+v\n%+v", c, again)
	require.Equal(t, 90*time.Second, again.Events.Retry)
}

// emptied has no empty lists in place of none.
func emptied(c *Config) *Config {
	for _, key := range leafKeys() {
		if v := fieldOf(c, key); (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
			v.SetZero()
		}
	}
	for i := range c.Auth.Logins {
		p := &c.Auth.Logins[i].Permissions
		for _, list := range []*[]string{&p.Send, &p.Subscribe, &p.Serve} {
			if len(*list) == 0 {
				*list = nil
			}
		}
	}
	for name, grants := range c.Auth.Roles {
		if len(grants.Subscribe) == 0 {
			grants.Subscribe = nil
		}
		if len(grants.Serve) == 0 {
			grants.Serve = nil
		}
		c.Auth.Roles[name] = grants
	}
	return c
}

func TestSettingsSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	file := fileWith(t, toPrint)
	c, where, faults := Read(Source{File: file, Environ: []string{"STOMPBOX_HTTP_LISTEN=127.0.0.1:1", "STOMPBOX_LIMITS_BODY=1MiB"}})
	require.NoError(t, where.Join(faults))
	got := make(map[string]string)
	for _, s := range Values(c.Settings(where)) {
		got[s.Key] = s.Value + " from " + s.Source
	}
	for key, want := range map[string]string{
		"http.listen": "127.0.0.1:1 from STOMPBOX_HTTP_LISTEN", "limits.body": "1MiB from STOMPBOX_LIMITS_BODY", "log.level": "info from default",
		"auth.jwt.secret": "'***' from " + file + ":3", "auth.jwt.issuer": "\"\" from default", "auth.jwt.leeway": "5s from default",
		"auth.jwt.jwks_url": "https://***@id.example/keys?*** from " + file + ":5", "auth.logins[0].login": "a from " + file + ":7",
		"auth.logins[1].passcode_hash_file": "/etc/hash from " + file + ":10", "auth.logins[1].role": "\"\" from " + file + ":10",
		"auth.roles.https://id.example/Editor.send": "[/topic/a] from " + file + ":11",
		"nats.url": "nats://***@a:4222,nats://b:4222 from " + file + ":12", "queues.policies[0].max_bytes": "1536MiB from " + file + ":13", "queues.policies[0].max_age": "36h from " + file + ":13",
	} {
		require.Equal(t, want, got[key], key)
	}
	changed := Changed(c.Settings(where))
	for _, s := range changed {
		require.NotEqual(t, "log", s.Key)
	}
	require.Equal(t, "http", changed[0].Key)
	require.Equal(t, "http.listen", changed[1].Key)
}

// TestTheStartingFileIsFine as it is written.
func TestTheStartingFileIsFine(t *testing.T) {
	t.Parallel()
	_, err := Load(Source{File: fileWith(t, string(StartingFile)), Environ: []string{}})
	require.NoError(t, err)
	require.Contains(t, string(Starting("/etc/stompbox/jwt.secret")), "secret_file: /etc/stompbox/jwt.secret\n")
	require.Equal(t, StartingFile, Starting("jwt.secret"))
}
