package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/stompbox/stompbox/internal/config"
)

// boundedKey is a key of the schema that is a number, a time or a size.
type boundedKey struct {
	name        string // with [] for the entries of a list
	kind        string // integer, number, time or size
	description string
}

// boundedKeys finds them below a table of the schema.
func boundedKeys(table map[string]any, path string) (all []boundedKey) {
	properties, _ := table["properties"].(map[string]any)
	for name, value := range properties {
		schema := value.(map[string]any)
		key := strings.TrimPrefix(path+"."+name, ".")
		if items, ok := schema["items"].(map[string]any); ok {
			all = append(all, boundedKeys(items, key+"[]")...)
		}
		all = append(all, boundedKeys(schema, key)...)
		description, _ := schema["description"].(string)
		text, _ := json.Marshal(schema)
		switch {
		case strings.Contains(string(text), "properties"):
		case strings.Contains(string(text), `"type":"integer"`):
			all = append(all, boundedKey{key, "integer", description})
		case strings.Contains(string(text), `"type":"number"`):
			all = append(all, boundedKey{key, "number", description})
		case strings.Contains(string(text), `"30s"`):
			all = append(all, boundedKey{key, "time", description})
		case strings.Contains(string(text), `"64MiB"`):
			all = append(all, boundedKey{key, "size", description})
		}
	}
	return all
}

// tried are values at all bounds, and next to them.
var tried = map[string][]any{
	"integer": {-1, 0, 1, 2, 5, 6, 7, 8, 9, 15, 16, 1000, 1001, 16384, 16385, 1 << 50, 1<<50 + 1},
	"number":  {-0.5, 0, 0.001, 0.01, 0.5, 0.99, 1, 1.5, 2.5, 1000, 1000.5},
	"time":    {0, "0s", "1ms", "99ms", "100ms", "999ms", "1s", "1h", "1h1m", "24h", "25h", "720h", "721h", "100000h"},
	"size":    {0, "1B", "15B", "16B", "31B", "32B", "63B", "64B", "255B", "256B", "1023B", "1KiB", "16383B", "16KiB", "65535B", "64KiB", "999999B", "1MB", "1GiB", "1025MiB", "1TiB"},
}

// fileOfKey is a file that sets a key to a value, next to what others have to be for that.
func fileOfKey(t *testing.T, key string, value any) []byte {
	t.Helper()
	entries := map[string]map[string]any{
		"queues.policies":  {"match": "/queue/a"},
		"history.policies": {"name": "a", "match": "/topic/a"},
		"app.webhooks":     {"name": "a", "match": "/app/a", "url": "https://a.example/", "deadline": "100h"},
	}
	file := map[string]any{
		"dev":     true,
		"http":    map[string]any{"listen": "127.0.0.1:8080"},
		"cluster": map[string]any{"listen": "127.0.0.1:6222", "node": "a", "peers": []string{"127.0.0.1:6223"}},
		"limits":  map[string]any{"header_line": "256B"},
		"queues":  map[string]any{"max_prefetch": 1 << 50},
	}
	table := file
	parts := strings.Split(key, ".")
	for i, name := range parts[:len(parts)-1] {
		if list, ok := strings.CutSuffix(name, "[]"); ok {
			entry := entries[strings.Join(append(parts[:i:i], list), ".")]
			require.NotNil(t, entry, key)
			table[list], table = []any{entry}, entry
			continue
		}
		below, ok := table[name].(map[string]any)
		if !ok {
			below = make(map[string]any)
			table[name] = below
		}
		table = below
	}
	table[parts[len(parts)-1]] = value
	text, err := yaml.Marshal(file)
	require.NoError(t, err)
	return text
}

// requireSameQuoted wants a number in quotes to be taken where the number is, by both. The schema cannot
// compare it with the bounds that the description has.
func requireSameQuoted(t *testing.T, key boundedKey, number any, isRefused bool, names *regexp.Regexp, bySchema func([]byte) error) {
	t.Helper()
	if _, isText := number.(string); isText {
		return
	}
	text := fileOfKey(t, key.name, fmt.Sprint(number))
	name := t.TempDir() + "/stompbox.yaml"
	require.NoError(t, os.WriteFile(name, text, 0o600))
	_, err := config.Load(config.Source{File: name, Environ: []string{}})
	require.Equal(t, isRefused, err != nil && names.MatchString(err.Error()), "%s: %q: %v", key.name, number, err)
	switch of := bySchema(text); {
	case !isRefused:
		require.NoError(t, of, "%s: %q", key.name, number)
	case of == nil && number != 1<<50+1: // which is more than any number may be
		require.NotEmpty(t, config.RangeText(key.name), "%s: %q: %v", key.name, number, err)
		require.Contains(t, key.description, config.RangeText(key.name), "%s: %q", key.name, number)
	}
}

// TestTheSchemaHasTheBoundsOfTheCheck: a number that the check refuses is refused by the schema,
// and no other one. A schema cannot compare times and sizes, so there the description has the bounds.
func TestTheSchemaHasTheBoundsOfTheCheck(t *testing.T) {
	t.Parallel()
	bySchema := schemaChecker(t)
	var root map[string]any
	require.NoError(t, json.Unmarshal(config.SchemaFile, &root))
	keys := boundedKeys(root, "")
	require.Greater(t, len(keys), 90)
	refused := make(map[string]int)
	name := t.TempDir() + "/stompbox.yaml"
	for _, key := range keys {
		shown := regexp.QuoteMeta(strings.ReplaceAll(key.name, "[]", ", entry 1"))
		names := regexp.MustCompile(`(?m)(^|: )'?` + shown + `'? `)
		for _, value := range tried[key.kind] {
			text := fileOfKey(t, key.name, value)
			require.NoError(t, os.WriteFile(name, text, 0o600))
			_, err := config.Load(config.Source{File: name, Environ: []string{}})
			isRefused := err != nil && names.MatchString(err.Error())
			requireSameQuoted(t, key, value, isRefused, names, bySchema)
			switch of := bySchema(text); {
			case isRefused && key.kind != "time" && key.kind != "size":
				require.Error(t, of, "%s: %v: %v", key.name, value, err)
				refused[key.kind]++
			case isRefused && of == nil:
				require.NotEmpty(t, config.RangeText(key.name), "%s: %v: %v", key.name, value, err)
				require.Contains(t, key.description, config.RangeText(key.name), "%s: %v", key.name, value)
				if value != "0s" { // which is "cannot be 0"
					require.Contains(t, err.Error(), value, "the value is in the error")
				}
				refused[key.kind]++
			case !isRefused:
				require.NoError(t, of, "%s: %v", key.name, value)
			}
		}
	}
	for kind := range tried {
		require.Greater(t, refused[kind], 5, kind)
	}
}
