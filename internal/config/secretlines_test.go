package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFilesWithSecretsThatCannotBeSent are refused: no header and no CONNECT has a line break. What signs may have
// any bytes, but not the mark that an editor puts before a text.
func TestFilesWithSecretsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	const good = "0123456789 abcdefghijklmnop qrstuvwxyz"
	for content, want := range map[string]struct {
		shown, signs error
	}{
		good:                           {nil, nil},
		good + "\n":                    {nil, nil},
		good + "\r\n\n":                {nil, nil},
		good + "\nsecond line\n":       {errSeveralLines, nil},
		"\n" + good:                    {errSeveralLines, nil},
		good + "\x00":                  {errSeveralLines, nil},
		good + "\xff":                  {errSeveralLines, nil},
		"\ufeff" + good:                {errByteOrderMark, errByteOrderMark},
		"\xef\xbb\xbf\xff\xfe" + good:  {errSeveralLines, nil}, // random bytes
		"\ufeff" + good + "\nsecond\n": {errByteOrderMark, errByteOrderMark},
	} {
		file := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		c := &Config{}
		c.Metrics.TokenFile, c.Admin.TokenFile = file, file
		_, err := c.Metrics.LoadToken(false)
		require.ErrorIs(t, err, want.shown, "metrics: %q", content)
		_, err = c.Admin.LoadToken(false)
		require.ErrorIs(t, err, want.shown, "admin: %q", content)
		_, err = c.Admin.ReadToken(false)
		require.ErrorIs(t, err, want.shown, "admin, to ask: %q", content)
		for _, peer := range []*string{&c.NATS.PasswordFile, &c.NATS.TokenFile, &c.Cluster.PasswordFile} {
			*peer = file
			_, err = c.ReadPeerSecrets()
			require.ErrorIs(t, err, want.shown, "peers: %q", content)
			*peer = ""
		}
		c.Auth.JWT.SecretFile = file
		_, err = c.StaticKeys()
		require.ErrorIs(t, err, want.signs, "auth.jwt: %q", content)
		c.Auth.JWT.SecretFile, c.Auth.JWT.Keys = "", []Key{{SecretFile: file, Algorithm: "HS256"}}
		_, err = c.StaticKeys()
		require.ErrorIs(t, err, want.signs, "auth.jwt.keys: %q", content)
		_, _, err = Webhook{SecretFile: file}.Secrets(false)
		require.ErrorIs(t, err, want.signs, "webhook: %q", content)
	}
}
