package config_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
)

const devSecret = "stompbox development key, which is not secret at all"

// check reads all secrets of a configuration.
func check(t *testing.T, text string, environ ...string) error {
	t.Helper()
	c, err := config.Load(config.Source{File: write(t, text), Environ: append([]string{}, environ...)})
	if err != nil {
		return err
	}
	_, keysErr := c.StaticKeys()
	_, loginsErr := c.StaticLogins()
	err = errors.Join(keysErr, loginsErr)
	for _, w := range c.App.Webhooks {
		_, _, secretsErr := w.Secrets(c.Dev)
		err = errors.Join(err, secretsErr)
	}
	return err
}

func TestSecretsThatEverybodyKnowsAreRefused(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(devSecret))
	for name, secret := range map[string]string{
		"development":  devSecret,
		"capitals":     strings.ToUpper(devSecret),
		"more of it":   devSecret + "!",
		"space":        "  " + devSecret + " ",
		"base64":       encoded,
		"base64url":    base64.RawURLEncoding.EncodeToString([]byte(devSecret)),
		"base64 twice": base64.StdEncoding.EncodeToString([]byte(encoded)),
		"hex":          hex.EncodeToString([]byte(devSecret)),
		"HEX":          strings.ToUpper(hex.EncodeToString([]byte(devSecret))),
		"percent":      url.PathEscape(devSecret),
		"whsec":        "whsec_" + encoded,
		"example":      "change me: openssl rand -base64 32 makes one",
		"webhook":      "a secret that everybody knows, of the example",
	} {
		file := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
		hook := "app: { webhooks: [ { name: x, match: /app/x, url: 'http://127.0.0.1/', %s: '%s' } ] }\n"
		for where, err := range map[string]error{
			"file":           check(t, "auth: { jwt: { secret: '"+secret+"' } }"),
			"variable":       check(t, "", "STOMPBOX_AUTH_JWT_SECRET="+secret),
			"secret_file":    check(t, "auth: { jwt: { secret_file: '"+file+"' } }"),
			"file variable":  check(t, "", "STOMPBOX_AUTH_JWT_SECRET_FILE="+file),
			"keys":           check(t, "auth: { jwt: { keys: [ { id: a, algorithm: HS256, secret: '"+secret+"' } ] } }"),
			"keys by file":   check(t, "auth: { jwt: { keys: [ { id: a, algorithm: HS256, secret_file: '"+file+"' } ] } }"),
			"webhook":        check(t, secretAuth+fmt.Sprintf(hook, "secret", secret)),
			"webhook's file": check(t, secretAuth+fmt.Sprintf(hook, "secret_file", file)),
			"cluster":        check(t, secretAuth+"cluster: { listen: '127.0.0.1:6222', node: a, user: a, password: '"+secret+"' }"),
			"NATS":           check(t, secretAuth+"nats: { url: 'nats://127.0.0.1:4222', token: '"+secret+"' }"),
			"NATS variable":  check(t, secretAuth, "STOMPBOX_NATS_PASSWORD="+secret),
		} {
			require.ErrorContains(t, err, "everybody knows", "%s in %s", name, where)
			require.NotContains(t, err.Error(), secret)
		}
	}
	require.NoError(t, check(t, "auth: { jwt: { secret: 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=' } }"))
	require.ErrorContains(t, check(t, secretAuth+"cluster: { listen: '127.0.0.1:6222', node: a, user: a, password: guest }"), "cluster.password: the secret is")
	require.NoError(t, check(t, "dev: true\nauth: { jwt: { secret: '"+devSecret+"' } }"), "development mode has it anyway")
}

const secretAuth = "auth: { jwt: { secret: 0123456789abcdef0123456789abcdef } }\n"

func TestPasscodesThatEverybodyKnowsAreRefused(t *testing.T) {
	t.Parallel()
	login := func(passcode string) string {
		hash, err := auth.HashPasscode(passcode)
		require.NoError(t, err)
		return "auth: { logins: [ { login: spring, passcode_hash: '" + hash + "' } ] }\n"
	}
	for _, passcode := range []string{"guest", "the passcode"} {
		require.ErrorContains(t, check(t, login(passcode)), `login "spring": its passcode is that of an example`)
	}
	require.NoError(t, check(t, login("another one")))
	require.NoError(t, check(t, "dev: true\n"+login("guest")))
}

// TestDocumentsShowNoSecretThatWorks: a reader who copies one has to be stopped.
func TestDocumentsShowNoSecretThatWorks(t *testing.T) {
	t.Parallel()
	shown := regexp.MustCompile(`(?m)^[\s{-]*(?:secret|password|token):[ \t]+"?([^"\s}#][^"\n}#]*)`)
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	examples, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	found := 0
	for _, file := range append(append(files, examples...), "../../README.md", "../../stompbox.example.yaml") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range shown.FindAllStringSubmatch(string(text), -1) {
			secret := strings.TrimSpace(match[1])
			found++
			require.ErrorContains(t, check(t, secretAuth+"cluster: { listen: '127.0.0.1:6222', node: a, user: a, password: '"+secret+"' }"), "everybody knows", "%s: %s", file, secret)
		}
	}
	require.GreaterOrEqual(t, found, 3)
}
