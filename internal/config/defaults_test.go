package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/webhook"
)

const exampleFile = "../../stompbox.example.yaml"

// hasExample are the keys for which stompbox.example.yaml shows an example, as their
// default is empty.
var hasExample = map[string]bool{
	"http.allowed_origins": true, "queues.policies": true, "history.policies": true, "presence.destinations": true,
	"app.webhooks": true, "auth.jwt.secret": true, "auth.jwt.algorithm": true, "auth.jwt.keys": true, "auth.logins": true,
	"auth.roles": true, "auth.default.send": true, "auth.default.subscribe": true, "auth.default.serve": true,
}

// values returns what a configuration has by key.
func values(c *config.Config) map[string]any {
	all := make(map[string]any)
	collect(reflect.ValueOf(*c), "", all)
	return all
}

func collect(v reflect.Value, path string, all map[string]any) {
	for i := range v.NumField() {
		key := path + v.Type().Field(i).Tag.Get("mapstructure")
		if field := v.Field(i); field.Kind() == reflect.Struct {
			collect(field, key+".", all)
		} else {
			all[key] = field.Interface()
		}
	}
}

func defaultValues(t *testing.T) map[string]any {
	t.Helper()
	c, err := config.Load(config.Source{File: write(t, "{}"), Client: true, Environ: []string{}})
	require.NoError(t, err)
	return values(c)
}

func isEmpty(value any) bool {
	v := reflect.ValueOf(value)
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

func TestTheExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: exampleFile, Environ: []string{}})
	require.NoError(t, err)
	defaults := defaultValues(t)
	for key, shown := range values(c) {
		switch {
		case hasExample[key]:
			require.True(t, isEmpty(defaults[key]), "%s has a default, so the example has to show that", key)
		case isEmpty(shown) && isEmpty(defaults[key]):
		default:
			require.Equal(t, defaults[key], shown, key)
		}
	}
	require.Equal(t, auth.DefaultGrants(), auth.Grants{Send: c.Auth.Default.Send, Subscribe: c.Auth.Default.Subscribe})
	require.Len(t, c.App.Webhooks, 1)
	hook, d := c.App.Webhooks[0], webhook.Options{}.WithDefaults()
	require.Equal(t, []any{d.Timeout, d.Deadline, d.MaxInFlight}, []any{hook.Timeout, hook.Deadline, hook.InFlight})
}

var (
	// documented finds defaults in prose: `queues.ack_wait` (30s).
	documented = regexp.MustCompile("`([a-z]+(?:\\.[a-z_]+)+)` \\(([0-9][0-9.a-z]*)\\)")
	// row finds the rows of tables that list keys and their defaults.
	row = regexp.MustCompile("(?m)^\\| (`[a-z]+\\.[a-z_.]+`(?:, `[a-z_.]+`)*) \\| ((?:[0-9]|none)[^|]*) \\|")
)

// TestTheDocumentsHaveTheDefaults holds docs against the code, and the tables of limits
// against the keys that there are.
func TestTheDocumentsHaveTheDefaults(t *testing.T) {
	t.Parallel()
	defaults := defaultValues(t)
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	found := make(map[string]bool)
	check := func(file, key, text string) {
		value, ok := defaults[key]
		require.True(t, ok, "%s: there is no key %s", file, key)
		require.Equal(t, shown(value), text, "%s: %s", file, key)
		found[key] = true
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
			check(file, m[1], m[2])
		}
		for _, m := range row.FindAllStringSubmatch(string(text), -1) {
			keys, texts := strings.Split(m[1], ", "), strings.Split(m[2], ", ")
			for i, key := range keys {
				check(file, strings.Trim(key, "`"), strings.Fields(texts[min(i, len(texts)-1)])[0])
			}
		}
	}
	for key := range defaults {
		if strings.HasPrefix(key, "limits.") {
			require.True(t, found[key], "docs/limits.md has to list %s", key)
		}
	}
	require.True(t, found["queues.ack_wait"])
}

// shown is how documents spell a value.
func shown(value any) string {
	d, ok := value.(time.Duration)
	switch {
	case isEmpty(value):
		return "none"
	case !ok:
		return fmt.Sprint(value)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
