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
