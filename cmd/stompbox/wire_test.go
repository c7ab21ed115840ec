package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
)

const testSecret = "auth:\n  jwt:\n    secret: 0123456789abcdef0123456789abcdef\n"

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestWebhooksThatCannotWorkAreNamed(t *testing.T) {
	t.Parallel()
	for says, hook := range map[string]string{
		"not an http or https URL": "url: nowhere, secret: 0123456789012345678901234",
		"needs at least 24":        "url: 'http://127.0.0.1/', secret: short",
		"everybody knows":          "url: 'http://127.0.0.1/', secret: 'change me: it is the example'",
		"previous: the secret is":  "url: 'http://127.0.0.1/', secret: 0123456789012345678901234, previous: { secret: 'change me: it is the example' }",
		"not base64":               "url: 'http://127.0.0.1/', secret: whsec_-",
		"no such file":             "url: 'http://127.0.0.1/', secret_file: /nowhere/secret",
		"send pattern":             "url: 'http://127.0.0.1/', secret: 0123456789012345678901234, send: [topic]",
	} {
		c, err := config.Load(config.Source{File: writeConfig(t, testSecret+"app:\n  webhooks:\n    - { name: x, match: /app/x, "+hook+" }\n"), Environ: []string{}})
		require.NoError(t, err)
		require.ErrorContains(t, checkWebhooks(c), says)
	}
}

func TestTheExampleAsItStandsIsNotServed(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: "../../stompbox.example.yaml", Environ: []string{}})
	require.NoError(t, err)
	_, err = newAuthenticator(t.Context(), c, newLogger(c, io.Discard))
	require.Error(t, err, "everybody knows it")
	c.Auth.Logins, c.Auth.JWT.Keys = nil, nil
	_, err = newAuthenticator(t.Context(), c, newLogger(c, io.Discard))
	require.ErrorContains(t, err, "make one: openssl")
}

func TestTokensOfTheConfigurationAreAccepted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"configured": testSecret + "    issuer: me\n    audience: [chat, mail]\n", "dev": "dev: true\n"} {
		c, err := config.Load(config.Source{File: writeConfig(t, text), Environ: []string{}})
		require.NoError(t, err, name)
		a, err := newAuthenticator(t.Context(), c, newLogger(c, io.Discard))
		require.NoError(t, err)
		token, dev, err := sign(c, "alice", auth.Claims{TTL: time.Hour})
		require.NoError(t, err)
		require.Equal(t, name == "dev", dev)
		p, err := a.Authenticate(t.Context(), auth.Credentials{Passcode: token})
		require.NoError(t, err)
		require.Equal(t, "alice", p.Name)
		require.Equal(t, name == "dev", p.Permissions.MaySend("/topic/a"))
		_, err = a.Authenticate(t.Context(), auth.Credentials{Login: "guest", Passcode: "guest"})
		require.Equal(t, name == "dev", err == nil, "guest is for development mode alone")
	}
}

// TestRolesKeepTheirNames: identity providers make names with capitals, dots and slashes.
func TestRolesKeepTheirNames(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPasscode("s3cret")
	require.NoError(t, err)
	file := writeConfig(t, testSecret+`
  logins: [ { login: Spring.App, passcode_hash: "`+hash+`", role: ROLE_ADMIN } ]
  ROLES:
    ROLE_ADMIN: { SEND: ["/topic/admin"] }
    role_admin: { send: ["/topic/lower"] }
    ops.eu-1: { send: /topic/dots }
    "https://id.example/roles/Editor": { send: ["/topic/url"] }
    "42": { send: ["/topic/number"] }
    true: { send: ["/topic/true"] }
    Größe: { send: ["/topic/umlaut"] }
`)
	c, err := config.Load(config.Source{File: file, Environ: []string{}})
	require.NoError(t, err)
	a, err := newAuthenticator(t.Context(), c, newLogger(c, io.Discard))
	require.NoError(t, err)
	may := func(role any) (granted []string) {
		token, _, err := sign(c, "alice", auth.Claims{TTL: time.Hour, Extra: map[string]any{"roles": role}})
		require.NoError(t, err)
		p, err := a.Authenticate(t.Context(), auth.Credentials{Passcode: token})
		require.NoError(t, err)
		for _, dest := range []string{"/topic/admin", "/topic/lower", "/topic/dots", "/topic/url", "/topic/number", "/topic/true", "/topic/umlaut"} {
			if p.Permissions.MaySend(dest) {
				granted = append(granted, dest)
			}
		}
		return granted
	}
	for role, want := range map[string]string{
		"ROLE_ADMIN": "/topic/admin", "role_admin": "/topic/lower", "ops.eu-1": "/topic/dots", "https://id.example/roles/Editor": "/topic/url",
		"HTTPS://id.example/ROLES/editor": "/topic/url", "grÖße": "/topic/umlaut",
		"42": "/topic/number", "true": "/topic/true", "Größe": "/topic/umlaut",
	} {
		require.Equal(t, []string{want}, may(role), role)
	}
	require.Empty(t, may("Role_Admin"))
	require.Equal(t, []string{"/topic/admin", "/topic/dots"}, may([]string{"ROLE_ADMIN", "ops.eu-1"}))
	p, err := a.Authenticate(t.Context(), auth.Credentials{Login: "Spring.App", Passcode: "s3cret"})
	require.NoError(t, err)
	require.True(t, p.Permissions.MaySend("/topic/admin"))
	require.False(t, p.Permissions.MaySend("/topic/lower"))
}
