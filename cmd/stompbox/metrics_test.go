package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// busyNode runs a node that has done a little of everything, so that it shows each of its
// metrics, and returns where they are.
func busyNode(t *testing.T) (p *process, url string) {
	t.Helper()
	config := t.TempDir() + "/stompbox.yaml"
	cert, key, _ := certificate(t)
	require.NoError(t, os.WriteFile(config, []byte(`
cluster: { node: n1 }
limits: { body: 2000B }
app:
  webhooks: [{ name: orders, match: /app/orders, url: "http://127.0.0.1:9/", secret: whsec_c2VjcmV0IG9mIHRlc3RzIHNlY3JldCBvZiB0ZXN0cw== }]
admin: { listen: '`+test.Address(t)+`', tls: { cert: `+cert+`, key: `+key+` } }
`), 0o600))
	address := test.Address(t)
	p = serve(t, nil, "--dev", "-c", config, "--metrics", address)
	url = "http://" + address + "/metrics"
	c := test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect()
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "hello")
	c.Message("hello")
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "stored", "work")
	c.Receipt("stored")
	status, text := get(t, "http://"+p.http+"/api/users")
	require.Equal(t, http.StatusUnauthorized, status, text)
	wrong := test.DialAddress(t, p.tcp).Connect()
	wrong.Send(frames.SEND, "destination", "/topic/a", strings.Repeat("x", 3000))
	wrong.Error("2000 bytes")
	encrypted := &tls.Dialer{Config: &tls.Config{ServerName: "127.0.0.1"}}
	_, err := encrypted.DialContext(t.Context(), "tcp", p.http)
	require.ErrorContains(t, err, "does not look like a TLS handshake")
	return p, url
}

// scrape returns what a node shows.
func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	status, text := get(t, url)
	require.Equal(t, http.StatusOK, status, text)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	return families
}

// TestEachMetricIsDocumented holds docs/metrics.md against a running node, and the names
// against the conventions of Prometheus.
func TestEachMetricIsDocumented(t *testing.T) {
	t.Parallel()
	p, url := busyNode(t)
	var table strings.Builder
	table.WriteString("\n| metric | type | labels | |\n|---|---|---|---|\n")
	families := scrape(t, url)
	var names []string
	for name := range families {
		if strings.HasPrefix(name, "stompbox_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		family := families[name]
		labels := make(map[string]bool)
		for _, m := range family.GetMetric() {
			node := false
			for _, l := range m.GetLabel() {
				if node = node || l.GetName() == "node" && l.GetValue() == "n1"; l.GetName() != "node" {
					labels["`"+l.GetName()+"`"] = true
				}
			}
			require.True(t, node, "%s has to say which node it is of", name)
		}
		listed := make([]string, 0, len(labels))
		for label := range labels {
			listed = append(listed, label)
		}
		slices.Sort(listed)
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), strings.Join(listed, ", "), family.GetHelp())
	}
	const begin, end, file = "writes this part -->\n", "<!-- metrics: end -->", "../../docs/metrics.md"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	documented, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+table.String()+"\n"+end+after), 0o600))
		documented = table.String() + "\n"
	}
	require.Equal(t, table.String()+"\n", documented)

	status, scraped := get(t, url)
	require.Equal(t, http.StatusOK, status)
	problems, err := promlint.New(strings.NewReader(scraped)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	p.stop(t)
}

func TestMetricsOfANodeCountWhatItDid(t *testing.T) {
	t.Parallel()
	p, url := busyNode(t)
	var families map[string]*dto.MetricFamily
	value := func(name string, labels ...string) float64 {
		for _, m := range families[name].GetMetric() {
			found := 0
			for _, l := range m.GetLabel() {
				for i := 0; i < len(labels); i += 2 {
					if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
						found++
					}
				}
			}
			if found == len(labels)/2 {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return -1
	}
	require.Eventually(t, func() bool { // the latency of a write is counted after the client has it
		families = scrape(t, url)
		return value("stompbox_publish_duration_seconds") == 1 && value("stompbox_transport_sessions", "transport", "tcp", "version", "1.2") == 0
	}, test.Patience, 20*time.Millisecond)
	require.EqualValues(t, 1, value("stompbox_transport_sessions", "transport", "websocket", "version", "1.2"))
	require.EqualValues(t, 0, value("stompbox_transport_sessions", "transport", "websocket", "version", "none"))
	require.EqualValues(t, 1, value("stompbox_limits_reached_total", "limit", "body"))
	require.EqualValues(t, 1, value("stompbox_session_errors_total", "code", "body-too-large"))
	require.EqualValues(t, 1, value("stompbox_requests_unauthenticated_total", "endpoint", "api", "code", "unauthenticated"))
	require.EqualValues(t, 1, value("stompbox_store_duration_seconds"))
	require.EqualValues(t, 1, value("stompbox_queue_messages", "queue", "/queue/a"))
	require.EqualValues(t, 0, value("stompbox_queue_held_messages", "queue", "/queue/a"))
	require.GreaterOrEqual(t, value("stompbox_queue_oldest_message_age_seconds", "queue", "/queue/a"), 0.0)
	require.EqualValues(t, 0, value("stompbox_other_queues_messages"))
	require.Greater(t, value("stompbox_received_bytes_total", "transport", "websocket"), 100.0)
	require.Greater(t, value("stompbox_sent_bytes_total", "transport", "websocket"), 100.0)
	require.EqualValues(t, 0, value("stompbox_origins_refused_total", "transport", "websocket"))

	request, err := http.NewRequest(http.MethodGet, "http://"+p.http+"/ws", nil)
	require.NoError(t, err)
	for name, v := range map[string]string{"Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		request.Header.Set(name, v)
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
	families = scrape(t, url)
	require.EqualValues(t, 1, value("stompbox_origins_refused_total", "transport", "websocket"))
	p.stop(t)
}
