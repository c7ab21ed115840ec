package config

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSizesHaveUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "512B": 512, "16KiB": 16 << 10, "64MiB": 64 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"1kB": 1000, "1KB": 1000, "5MB": 5e6, "1.5GiB": 3 << 29, "1.5 GB": 15e8, " 64mib ": 64 << 20, "-1KiB": -1024, "8388607TiB": 8388607 << 40,
	} {
		got, err := ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := ParseSize(got.String())
		require.NoError(t, err, got)
		require.Equal(t, got, again)
	}
	for size, text := range map[Size]string{0: "0", 1: "1B", 1000: "1kB", 1024: "1KiB", 8 << 20: "8MiB", 1536: "1536B", 1500: "1500B", math.MaxInt64: "9223372036854775807B"} {
		require.Equal(t, text, size.String())
	}
	for text, says := range map[string]string{
		"64": "size 64 has no unit; for bytes write 64B", "4194304": "for bytes write 4MiB", "1.5": "has no unit", "": "is not a size", "MiB": "is not a size",
		"64M": `has the unit "M"; use B, KiB`, "64 parsecs": "has the unit", "0.3B": "not a whole number", "1e3B": "is not a size", "1/2MiB": "is not a size", "0x10B": "is not a size",
		"8388608TiB": "too large", "1__0B": "is not a size",
	} {
		_, err := ParseSize(text)
		require.ErrorContains(t, err, says, text)
	}
}

// TestAPlainNumberIsRefusedWhereverAUnitBelongs: for each key, in a file and a variable.
func TestAPlainNumberIsRefusedWhereverAUnitBelongs(t *testing.T) {
	t.Parallel()
	times, sizes := 0, 0
	for _, key := range leafKeys() {
		says := "has no unit; for seconds write 30s"
		switch fieldOf(new(Config), key).Type() {
		case reflect.TypeFor[time.Duration]():
			times++
		case reflect.TypeFor[Size]():
			sizes++
			says = "size 30 has no unit; for bytes write 30B"
		default:
			continue
		}
		text := secret
		if strings.HasPrefix(key, "auth.") {
			text = "" // of which there can be one
		}
		_, err := Load(Source{File: fileWith(t, text+nest(key, "30")), Environ: []string{}})
		require.ErrorContains(t, err, says, key)
		require.ErrorContains(t, err, key)
		_, err = Load(Source{File: fileWith(t, secret), Environ: []string{"STOMPBOX_" + variable(key) + "=30"}})
		require.ErrorContains(t, err, says, key)
		_, err = Load(Source{File: fileWith(t, text+nest(key, "0")), Environ: []string{}})
		if err != nil {
			require.NotContains(t, err.Error(), "has no unit", key)
		}
	}
	require.GreaterOrEqual(t, times, 20)
	require.Greater(t, sizes, 8)
	c, err := Load(Source{File: fileWith(t, secret+"queues: { policies: [ { match: /queue/a, max_bytes: 1MiB, max_age: 1h } ] }\n"), Environ: []string{"STOMPBOX_LIMITS_BODY=2MiB", "STOMPBOX_LIMITS_IDLE_TIMEOUT=3m"}})
	require.NoError(t, err)
	require.Equal(t, []QueuePolicy{{Match: "/queue/a", MaxDeliveries: c.Queues.MaxDeliveries, MaxBytes: 1 << 20, MaxAge: time.Hour}}, c.Queues.Policies)
	require.Equal(t, Size(2<<20), c.Limits.Body)
	require.Equal(t, 3*time.Minute, c.Limits.IdleTimeout)
	_, err = Load(Source{File: fileWith(t, secret+"history: { policies: [ { name: a, match: /topic/a, max_bytes: 7 } ] }\n"), Environ: []string{}})
	require.ErrorContains(t, err, "for bytes write 7B")
}

func fileWith(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// nest writes a key and its value as YAML.
func nest(key, value string) string {
	names := strings.Split(key, ".")
	return strings.Join(names, ": { ") + ": " + value + strings.Repeat(" }", len(names)-1) + "\n"
}

func variable(key string) string { return strings.ToUpper(strings.ReplaceAll(key, ".", "_")) }
