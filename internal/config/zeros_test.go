package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAZeroIsNoDefault: who writes 0 for a key with a default gets none, or an error.
func TestAZeroIsNoDefault(t *testing.T) {
	t.Parallel()
	refused := 0
	for key, value := range defaults() {
		if v := reflect.ValueOf(value); !isNumber(fieldOf(new(Config), key)) || v.IsZero() {
			continue
		}
		_, err := Load(Source{File: fileWith(t, secret), Environ: []string{"STOMPBOX_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_")) + "=0"}})
		if slices.Contains(zeroIsMeant, key) {
			require.NoError(t, err, key)
			continue
		}
		refused++
		require.ErrorContains(t, err, key)
	}
	require.Greater(t, refused, 20)
	for _, key := range zeroIsMeant {
		require.Contains(t, defaults(), key)
	}
	_, err := Load(Source{File: fileWith(t, secret+"app: { webhooks: [ { name: a, match: /app/a, url: 'http://127.0.0.1/', secret: "+strings.Repeat("ab1", 12)+", in_flight: 0 } ] }\n"), Environ: []string{}})
	require.ErrorContains(t, err, "app.webhooks, entry 1.in_flight cannot be 0")
}

// TestAZeroOfAPolicyIsMeant: what an entry leaves out is as for all queues, and a 0 is no limit.
func TestAZeroOfAPolicyIsMeant(t *testing.T) {
	t.Parallel()
	c, err := Load(Source{Environ: []string{}, File: fileWith(t, secret+`
queues:
  max_messages: 7
  max_bytes: 7MiB
  max_age: 7h
  max_deliveries: 7
  policies:
    - { match: /queue/as.all }
    - &none { match: /queue/none, max_messages: 0, max_bytes: 0, max_age: 0s, max_deliveries: 0 }
    - { <<: *none, match: /queue/merged, max_age: 1h }
`)})
	require.NoError(t, err)
	parsed, err := c.Queues.Parse()
	require.NoError(t, err)
	parsed = parsed.WithDefaults()
	for i, want := range [][]any{
		{int64(7), int64(7 << 20), 7 * time.Hour, 7},
		{int64(-1), int64(-1), time.Duration(-1), -1},
		{int64(-1), int64(-1), time.Hour, -1},
	} {
		p := parsed.Policies[i]
		require.Equal(t, want, []any{p.MaxMessages, p.MaxBytes, p.MaxAge, p.MaxDeliveries}, "%d", i)
	}
}
