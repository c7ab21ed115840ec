package config

import (
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
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	c, err := Load(Source{File: fileWith(t, secret+"nats: { user: a, password_file: "+file+", token_file: "+file+" }\ncluster: { user: a, listen: '0.0.0.0:1', node: n, password_file: "+file+" }\n"), Environ: []string{}})
	require.NoError(t, err)
	read, err := c.ReadPeerSecrets()
	require.NoError(t, err)
	require.Equal(t, PeerSecrets{"from a file", "from a file", "from a file"}, read)

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
