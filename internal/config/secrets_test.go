package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// TestEachSecretCanBeInAFile: a key that sounds like a secret has one for a file next to it.
func TestEachSecretCanBeInAFile(t *testing.T) {
	t.Parallel()
	found := 0
	var look func(reflect.Type, string)
	look = func(table reflect.Type, path string) {
		names := make(map[string]bool)
		for i := range table.NumField() {
			names[table.Field(i).Tag.Get("mapstructure")] = true
		}
		for i := range table.NumField() {
			field := table.Field(i)
			name := field.Tag.Get("mapstructure")
			switch of := field.Type; {
			case of.Kind() == reflect.Struct:
				look(of, path+name+".")
			case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct:
				look(of.Elem(), path+name+".")
			case isSecretKey(name):
				found++
				require.True(t, names[name+"_file"], "%s%s needs a key for a file", path, name)
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
	require.GreaterOrEqual(t, found, 9)
}

func TestSecretsOfPeersComeFromFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from a file, and long enough\n"), 0o600))
	c, err := Load(Source{File: fileWith(t, secret+"nats: { url: 'nats://a:4222', user: a, password_file: "+file+", token_file: "+file+" }\n"), Environ: []string{}})
	require.NoError(t, err)
	c.Cluster.PasswordFile = file // it does not go with an external server
	read, err := c.ReadPeerSecrets()
	require.NoError(t, err)
	require.Equal(t, PeerSecrets{"from a file, and long enough", "from a file, and long enough", "from a file, and long enough"}, read)

	require.NoError(t, os.WriteFile(file, []byte("change me: it is an example"), 0o600))
	_, err = c.ReadPeerSecrets()
	require.ErrorContains(t, err, "nats.password: the secret is that of an example")
	require.NoError(t, os.Remove(file))
	_, err = c.ReadPeerSecrets()
	require.ErrorContains(t, err, "no such file")
	_, err = Load(Source{File: fileWith(t, secret+"cluster: { password: a, password_file: b }\n"), Environ: []string{}})
	require.ErrorContains(t, err, "cluster.password is set, and cluster.password_file too")
}

func TestAHashOfALoginComesFromAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hash")
	hash, err := bcrypt.GenerateFromPassword([]byte("its own"), bcrypt.MinCost)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(hash, '\n'), 0o600))
	c, err := Load(Source{File: fileWith(t, "auth: { logins: [ { login: a, passcode_hash_file: "+file+" } ] }\n"), Environ: []string{}})
	require.NoError(t, err)
	logins, err := c.StaticLogins()
	require.NoError(t, err)
	require.Equal(t, string(hash), logins[0].PasscodeHash)
	hash, err = bcrypt.GenerateFromPassword([]byte("guest"), bcrypt.MinCost)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, hash, 0o600))
	_, err = c.StaticLogins()
	require.ErrorContains(t, err, "everybody knows")
}

func isSecretKey(name string) bool {
	for _, word := range []string{"secret", "password", "token", "passcode_hash"} {
		if name == word || strings.HasSuffix(name, "_"+word) {
			return true
		}
	}
	return false
}

// TestWeakSecretsAreRefused: blank ones of all settings, those that repeat a few bytes, and short
// ones where they are all that keeps others out.
func TestWeakSecretsAreRefused(t *testing.T) {
	t.Parallel()
	settings := map[string]string{
		"cluster":          "cluster: { user: a, listen: '0.0.0.0:6222', node: n, peers: ['10.0.0.2:1'], password%s }\n",
		"cluster loopback": "cluster: { user: a, listen: '127.0.0.1:6222', node: n, peers: ['10.0.0.2:1'], password%s }\n",
		"nats":             "nats: { user: a, listen: '0.0.0.0:4222', password%s }\n",
		"nats client":      "nats: { user: a, url: 'nats://127.0.0.1:4222', password%s }\n",
		"nats token":       "nats: { url: 'nats://127.0.0.1:4222', token%s }\n",
		"metrics":          "metrics: { token%s }\n",
		"admin":            "admin: { token%s }\n",
		"key":              "auth: { jwt: { keys: [ { id: a, algorithm: HS256, secret%s } ] } }\n",
		"webhook":          "app: { webhooks: [ { name: x, match: /app/x, url: 'http://127.0.0.1/', secret%s } ] }\n",
		"previous":         "app: { webhooks: [ { name: x, match: /app/x, url: 'http://127.0.0.1/', secret: 0123456789abcdef01234567, previous: { secret%s } } ] }\n",
	}
	read := func(text string) error {
		c, err := Load(Source{File: fileWith(t, text+jwtUnless(text)), Environ: []string{}})
		if err != nil {
			return err
		}
		_, peerErr := c.ReadPeerSecrets()
		_, metricsErr := c.Metrics.LoadToken(c.Dev)
		_, adminErr := c.Admin.LoadToken(c.Dev)
		_, keysErr := c.StaticKeys()
		err = errors.Join(peerErr, metricsErr, adminErr, keysErr)
		for _, w := range c.App.Webhooks {
			_, _, secretsErr := w.Secrets(c.Dev)
			err = errors.Join(err, secretsErr)
		}
		return err
	}
	with := func(setting, secret string) map[string]error {
		file := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
		return map[string]error{
			"value": read(fmt.Sprintf(setting, ": '"+secret+"'")),
			"file":  read(fmt.Sprintf(setting, "_file: '"+file+"'")),
		}
	}
	same := strings.Repeat("p", 64)
	for name, setting := range settings {
		for where, err := range with(setting, strings.Repeat(" ", 64)) {
			require.ErrorContains(t, err, "the secret is blank; make one: openssl rand -base64 32", "%s, %s", name, where)
		}
		require.ErrorContains(t, with(setting, "")["file"], "the secret is blank", name)
		for _, secret := range []string{same, strings.Repeat("ab", 32), base64.StdEncoding.EncodeToString([]byte(same)), hex.EncodeToString(make([]byte, 64))} {
			for where, err := range with(setting, secret) {
				require.ErrorContains(t, err, "easy to guess", "%s, %s", name, where)
				require.NotContains(t, err.Error(), secret)
			}
		}
		for where, err := range with(setting, "0123456789abcdef0123456789abcdef") {
			require.NoError(t, err, "%s, %s", name, where)
		}
	}
	for name, listens := range map[string]bool{"cluster": true, "nats": true, "admin": true, "metrics": true, "cluster loopback": false, "nats client": false, "nats token": false} {
		for where, err := range with(settings[name], "a short password") {
			if !listens {
				require.NoError(t, err, "%s, %s", name, where)
				continue
			}
			require.ErrorContains(t, err, "it has 16 bytes, and needs 20; make one: openssl rand -base64 32", "%s, %s", name, where)
		}
	}
}

// jwtUnless is a key for a configuration that has none.
func jwtUnless(text string) string {
	if strings.HasPrefix(text, "auth:") {
		return ""
	}
	return secret
}

// TestAPasswordNeedsAUser: without one NATS asks for neither.
func TestAPasswordNeedsAUser(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"cluster: { listen: '127.0.0.1:6222', node: n, peers: ['10.0.0.2:1'], password: a password of this test }": "cluster.password needs cluster.user",
		"cluster: { listen: '127.0.0.1:6222', node: n, peers: ['10.0.0.2:1'], password_file: /nowhere }":           "cluster.password needs cluster.user",
		"cluster: { listen: '127.0.0.1:6222', node: n, peers: ['10.0.0.2:1'], user: a }":                           "cluster.user needs cluster.password",
		"nats: { listen: '127.0.0.1:4222', password: a password of this test }":                                    "nats.password needs nats.user",
		"nats: { listen: '127.0.0.1:4222', user: a }":                                                              "nats.user needs nats.password",
		"nats: { url: 'nats://127.0.0.1:4222', password: a password of this test }":                                "nats.password needs nats.user",
		"nats: { url: 'nats://127.0.0.1:4222', user: a }":                                                          "",
	} {
		_, err := Load(Source{File: fileWith(t, secret+text+"\n"), Environ: []string{}})
		if says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, says, text)
	}
}

func TestALoginNeedsAPasscode(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword(nil, bcrypt.MinCost)
	require.NoError(t, err)
	c, err := Load(Source{File: fileWith(t, "auth: { logins: [ { login: a, passcode_hash: '"+string(hash)+"' } ] }\n"), Environ: []string{}})
	require.NoError(t, err)
	_, err = c.StaticLogins()
	require.ErrorContains(t, err, `login "a": its passcode is blank`)
}
