package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzLoad: any file is a configuration, or is refused with words.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "dev: true", "limits: { body: 1MiB }", "limits: { body: 9e99 }", "http: { allowed_origins: [ 1, null ] }", "auth: { jwt: { secret: x } }",
		"queues: { transient: [ '(' ] }", "history: { policies: [ {} ] }", "a: &a [*a]", "limits: []", "log: { level: 7 }", "app: { webhooks: [ { url: ':' } ] }",
		"acme: { domains: [ '*' ] }", "? [a]\n: b", "heartbeat: { grace: .nan }", "\xff", "---\n---\n",
	} {
		f.Add([]byte(text))
	}
	file := filepath.Join(f.TempDir(), "stompbox.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(file, text, 0o600))
		c, err := Load(Source{File: file, Environ: []string{}, Client: true})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotNil(t, c)
	})
}
