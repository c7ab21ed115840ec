package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestServeExportsTraces at the latest when it ends.
func TestServeExportsTraces(t *testing.T) {
	t.Parallel()
	exported := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { exported <- r.URL.Path }))
	defer collector.Close()
	p := serve(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL}, "--dev")
	c := test.DialAddress(t, p.tcp).Connect()
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "hello")
	require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$", c.Message("hello").Get("traceparent"))
	c.Close()
	p.stop(t)
	select {
	case path := <-exported:
		require.Equal(t, "/v1/traces", path)
	case <-time.After(test.Patience):
		t.Fatal("nothing was exported")
	}

	_, stderr, err := run(t, []string{"OTEL_TRACES_EXPORTER=zipkin"}, "serve", "--dev", "--http", "127.0.0.1:0")
	require.Error(t, err)
	require.Contains(t, stderr, "use otlp or none")
}

// TestTheCheckNamesWrongVariablesOfTraces as serve and doctor do.
func TestTheCheckNamesWrongVariablesOfTraces(t *testing.T) {
	t.Parallel()
	_, stderr, err := run(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=::nope"}, "config", "check", "--dev")
	require.Error(t, err)
	require.Contains(t, stderr, `OTEL_EXPORTER_OTLP_ENDPOINT "::nope" is not an http or https URL`)
	out, stderr, err := run(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=2"}, "config", "check", "--dev")
	require.NoError(t, err)
	require.Equal(t, "the configuration is fine\n", out)
	require.Contains(t, stderr, `stompbox: warning: OTEL_TRACES_SAMPLER_ARG "2" is ignored: it is not a number from 0 to 1, so all traces are sampled`)
	_, stderr, err = run(t, []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=bogus"}, "serve", "--dev", "--http", "127.0.0.1:0")
	require.Error(t, err)
	require.Contains(t, stderr, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT "bogus"`)
}
