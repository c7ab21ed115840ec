package tracing

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// TestWrongVariablesAreNamed: OpenTelemetry would export to another place, or sample all, and
// say nothing of it.
func TestWrongVariablesAreNamed(t *testing.T) {
	t.Parallel()
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		name, value string
		refused     bool
		says        string
	}{
		{endpoint, "bogus", true, `OTEL_EXPORTER_OTLP_ENDPOINT "bogus" is not an http or https URL, such as http://collector.example:4318`},
		{endpoint, "::nope", true, `OTEL_EXPORTER_OTLP_ENDPOINT "::nope" is not`},
		{endpoint, "collector:4318", true, "is not an http or https URL"},
		{endpoint, "grpc://collector:4317", true, "is not an http or https URL"},
		{endpoint, "http://:4318", true, "is not an http or https URL"},
		{endpoint, "http://collector:70000", true, "is not an http or https URL"},
		{endpoint, "ftp://user:password@collector", true, `"collector" is not`},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "bogus", true, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT "bogus" is not`},
		{"OTEL_TRACES_SAMPLER", "sometimes", false, `OTEL_TRACES_SAMPLER "sometimes" is ignored: all traces are sampled; use always_on,`},
		{"OTEL_TRACES_SAMPLER_ARG", "0.5", false, `OTEL_TRACES_SAMPLER_ARG "0.5" is ignored: OTEL_TRACES_SAMPLER is not traceidratio`},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", false, `OTEL_EXPORTER_OTLP_TIMEOUT "10s" is ignored: it is not a number of milliseconds`},
		{"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zip", false, `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION "zip" is ignored: it is neither gzip nor none`},
		{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Bearer x", false, "OTEL_EXPORTER_OTLP_HEADERS is ignored in part"},
		{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio", false, ""},
		{"OTEL_TRACES_SAMPLER", "Always_Off", false, ""},
		{"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,a=b", false, ""},
		{endpoint, " https://user:password@[::1]:4318/path ", false, ""},
	} {
		env := map[string]string{endpoint: "http://127.0.0.1:4318"}
		env[c.name] = c.value
		warnings, err := check(func(name string) string { return env[name] })
		if c.refused {
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "password")
		} else {
			require.NoError(t, err, c.value)
		}
		switch {
		case c.says == "":
			require.Empty(t, warnings, c.value)
		case !c.refused:
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], c.says)
			require.NotContains(t, warnings[0], "Bearer")
		}
		env["OTEL_SDK_DISABLED"] = "true"
		warnings, err = check(func(name string) string { return env[name] })
		require.NoError(t, err, "nothing is exported")
		require.Empty(t, warnings)
	}
	for arg, fine := range map[string]bool{"0": true, "0.01": true, "1": true, "7": false, "-1": false, "half": false, "NaN": false} {
		env := map[string]string{endpoint: "http://127.0.0.1:4318", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": arg}
		warnings, err := check(func(name string) string { return env[name] })
		require.NoError(t, err)
		require.Equal(t, fine, len(warnings) == 0, "%s: %v", arg, warnings)
	}
}

// TestAWrongSamplerIsNoFailedExport: the log names the variable, once.
func TestAWrongSamplerIsNoFailedExport(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	var said local.Log
	tracer, err := FromEnvironment(context.Background(), "v1", "n1", slog.New(slog.NewTextHandler(&said, nil)))
	require.NoError(t, err)
	tracer.Close()
	require.Contains(t, said.String(), `OTEL_TRACES_SAMPLER \"sometimes\" is ignored`)
	require.NotContains(t, said.String(), "could not be exported")
	require.NotContains(t, said.String(), "unsupported sampler")

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "bogus")
	_, err = FromEnvironment(context.Background(), "v1", "n1", slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, `OTEL_EXPORTER_OTLP_ENDPOINT "bogus"`)
}
