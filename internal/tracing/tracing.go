// Package tracing makes spans of OpenTelemetry for the broker, and exports them by OTLP.
package tracing

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/stompbox/stompbox/broker/trace"
)

// Tracer is a [trace.Tracer]. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   oteltrace.Tracer
}

// shutdownTimeout bounds how long the end of a process waits for its last spans.
const shutdownTimeout = 5 * time.Second

// enabled reports whether the variables of OpenTelemetry ask for traces.
func enabled(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "otlp":
	case "none":
		return false, nil
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER %q is not supported; use otlp or none", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := getenv(name); protocol != "" && protocol != "http/protobuf" {
			return false, fmt.Errorf("%s %q is not supported; use http/protobuf, which collectors take on port 4318", name, protocol)
		}
	}
	return true, nil
}

// FromEnvironment returns a tracer that the OTEL_* variables describe, or nil where they ask
// for none.
func FromEnvironment(ctx context.Context, version, node string, log *slog.Logger) (*Tracer, error) {
	warnings, err := CheckEnvironment()
	if err != nil {
		return nil, err
	}
	if on, err := enabled(os.Getenv); err != nil || !on {
		return nil, err
	}
	for _, text := range warnings {
		log.Warn("a variable of OpenTelemetry is wrong", "why", text)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { // what is wrong with variables
		if len(warnings) == 0 {
			log.Warn("OpenTelemetry reported something at its start", "error", err)
		}
	}))
	t, err := New(exporter, version, node)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces could not be exported", "error", err)
	}))
	return t, err
}

// New returns a tracer that gives its spans to an exporter. The name of the service and the
// sampling come from OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_TRACES_SAMPLER.
func New(exporter sdk.SpanExporter, version, node string) (*Tracer, error) {
	attributes := []attribute.KeyValue{attribute.String("service.name", "stompbox"), attribute.String("service.version", version)}
	if node != "" {
		attributes = append(attributes, attribute.String("service.instance.id", node))
	}
	own := resource.NewSchemaless(attributes...)
	named, err := resource.New(context.Background(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	both, err := resource.Merge(own, named)
	if err != nil {
		return nil, err
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(both))
	return &Tracer{provider, provider.Tracer("github.com/stompbox/stompbox", oteltrace.WithInstrumentationVersion(version))}, nil
}

// Close exports what is left. Nil is closed already.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the error handler has what is wrong
}

var kinds = map[trace.Kind]oteltrace.SpanKind{
	trace.Internal: oteltrace.SpanKindInternal, trace.Producer: oteltrace.SpanKindProducer,
	trace.Consumer: oteltrace.SpanKindConsumer, trace.Client: oteltrace.SpanKindClient,
}

// Start begins a span. See [trace.Tracer].
func (t *Tracer) Start(name string, kind trace.Kind, traceparent, destination string) trace.Span {
	ctx := context.Background()
	if parent, ok := parse(traceparent); ok {
		ctx = oteltrace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, s := t.tracer.Start(ctx, name, oteltrace.WithSpanKind(kinds[kind]), oteltrace.WithAttributes(
		attribute.String("messaging.system", "stomp"), attribute.String("messaging.destination.name", destination),
	))
	return span{s}
}

type span struct{ oteltrace.Span }

func (s span) Traceparent() string {
	c := s.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

func (s span) Count(name string, n int) { s.SetAttributes(attribute.Int("stompbox."+name, n)) }

func (s span) End(err error) {
	if err != nil {
		s.SetStatus(codes.Error, err.Error())
	}
	s.Span.End()
}

// parse reads a traceparent (W3C Trace Context, 3.2). What is wrong is no parent.
func parse(text string) (oteltrace.SpanContext, bool) {
	if len(text) < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' || text[:2] == "ff" || len(text) > 55 && (text[:2] == "00" || text[55] != '-') || strings.ToLower(text) != text {
		return oteltrace.SpanContext{}, false
	}
	var version, flags [1]byte
	var config oteltrace.SpanContextConfig
	for _, part := range []struct {
		text string
		into []byte
	}{{text[:2], version[:]}, {text[3:35], config.TraceID[:]}, {text[36:52], config.SpanID[:]}, {text[53:55], flags[:]}} {
		if _, err := hex.Decode(part.into, []byte(part.text)); err != nil {
			return oteltrace.SpanContext{}, false
		}
	}
	config.TraceFlags, config.Remote = oteltrace.TraceFlags(flags[0]), true
	c := oteltrace.NewSpanContext(config)
	return c, c.IsValid()
}
