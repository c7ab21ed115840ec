package tracing

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/webhook"
)

const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientParent = "00-" + clientTrace + "-00f067aa0ba902b7-01"
	otherTrace   = "0af7651916cd43dd8448eb211c80319c"
	otherParent  = "00-" + otherTrace + "-b7ad6b7169203331-01"
)

// recorded are the spans of one node.
type recorded struct {
	*tracetest.InMemoryExporter
	tracer *Tracer
}

func record(t *testing.T, node string) *recorded {
	t.Helper()
	r := &recorded{InMemoryExporter: tracetest.NewInMemoryExporter()}
	r.tracer = &Tracer{}
	r.tracer.provider = sdk.NewTracerProvider(sdk.WithSyncer(r.InMemoryExporter))
	r.tracer.tracer = r.tracer.provider.Tracer(node)
	t.Cleanup(r.tracer.Close)
	return r
}

// span waits for the one span of a name.
func (r *recorded) span(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	require.Eventually(t, func() bool {
		found = nil
		for _, s := range r.GetSpans() {
			if s.Name == name {
				found = append(found, s)
			}
		}
		return len(found) > 0
	}, test.Patience, 5*time.Millisecond, name)
	require.Len(t, found, 1, name)
	return found[0]
}

// to waits for the spans of a name, one for each destination.
func (r *recorded) to(t *testing.T, name string, destinations ...string) []tracetest.SpanStub {
	t.Helper()
	var all []tracetest.SpanStub
	require.Eventually(t, func() bool {
		all = nil
		for _, destination := range destinations {
			for _, s := range r.GetSpans() {
				if s.Name == name && slices.Contains(s.Attributes, attribute.String("messaging.destination.name", destination)) {
					all = append(all, s)
				}
			}
		}
		return len(all) == len(destinations)
	}, test.Patience, 5*time.Millisecond, "%s %v", name, destinations)
	return all
}

func requireBelow(t *testing.T, parent, child tracetest.SpanStub) {
	t.Helper()
	require.Equal(t, parent.SpanContext.TraceID(), child.SpanContext.TraceID(), child.Name)
	require.Equal(t, parent.SpanContext.SpanID(), child.Parent.SpanID(), "%s is below %s", child.Name, parent.Name)
}

// TestATraceGoesFromTheSenderToSubscribersOnAllNodes.
func TestATraceGoesFromTheSenderToSubscribersOnAllNodes(t *testing.T) {
	t.Parallel()
	here, there := record(t, "a"), record(t, "b")
	a := test.Start(t, test.Options{NATSPort: -1, Broker: broker.Options{Tracer: here.tracer}})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Broker: broker.Options{Tracer: there.tracer}})
	sub := test.Dial(t, b).Connect()
	sub.Subscribe("s", "/topic/a")
	c := test.Dial(t, a).Connect()
	c.Send(frames.SEND, "destination", "/topic/a", "traceparent", clientParent, "receipt", "r", "hello")
	c.Receipt("r")
	got := sub.Message("hello").Get("traceparent")

	send := here.span(t, "send")
	require.Equal(t, clientTrace, send.SpanContext.TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", send.Parent.SpanID().String())
	require.Equal(t, oteltrace.SpanKindProducer, send.SpanKind)
	require.Equal(t, "00-"+clientTrace+"-"+send.SpanContext.SpanID().String()+"-01", got, "subscribers go on below the SEND")
	route := here.span(t, "route")
	requireBelow(t, send, route)
	requireBelow(t, route, here.span(t, "deliver"))
	requireBelow(t, route, here.span(t, "nats publish"))
	deliver := there.span(t, "deliver")
	requireBelow(t, send, deliver)
	require.Equal(t, oteltrace.SpanKindConsumer, deliver.SpanKind)

	// Without a traceparent, or with one that is none, a trace begins here.
	here.Reset()
	c.Send(frames.SEND, "destination", "/topic/a", "traceparent", "00-0-0-0", "receipt", "r2", "again")
	c.Receipt("r2")
	sub.Message("again")
	require.False(t, here.span(t, "send").Parent.IsValid())
}

func TestATraceHasTheStoreAndTheDelivery(t *testing.T) {
	t.Parallel()
	r := record(t, "a")
	n := test.Start(t, test.Options{Broker: broker.Options{Tracer: r.tracer}})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "traceparent", clientParent, "receipt", "r", "work")
	c.Receipt("r")
	send := r.span(t, "send")
	requireBelow(t, send, r.span(t, "nats store"))
	c.Subscribe("s", "/queue/a")
	c.Message("work")
	deliver := r.span(t, "deliver")
	requireBelow(t, send, deliver)
	require.Contains(t, deliver.Attributes, attribute.Int("stompbox.deliveries", 1))

	// In a transaction the store is asked once, for all.
	r.Reset()
	c.Send(frames.BEGIN, "transaction", "t")
	c.Send(frames.SEND, "destination", "/queue/b", "transaction", "t", "one")
	c.Send(frames.COMMIT, "transaction", "t", "receipt", "c")
	c.Receipt("c")
	requireBelow(t, r.span(t, "send"), r.span(t, "nats store"))
}

// TestASENDThatIsRefusedHasASpanWithTheError whatever refuses it, over HTTP too.
func TestASENDThatIsRefusedHasASpanWithTheError(t *testing.T) {
	t.Parallel()
	r := record(t, "a")
	n := test.Start(t, test.Options{Broker: broker.Options{Tracer: r.tracer, Limits: broker.Limits{MessageRate: 1}}})
	token := "Bearer " + test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/topic/a"}})
	refused := func(destination, says string) {
		t.Helper()
		span := r.span(t, "send")
		require.Equal(t, oteltrace.SpanKindProducer, span.SpanKind)
		require.Equal(t, clientTrace, span.SpanContext.TraceID().String())
		require.Equal(t, codes.Error, span.Status.Code)
		require.Contains(t, span.Status.Description, says)
		require.Contains(t, span.Attributes, attribute.String("messaging.destination.name", destination))
		r.Reset()
	}
	c := test.Dial(t, n).Connect("Authorization", token)
	c.Send(frames.SEND, "destination", "/topic/b", "traceparent", clientParent, "x")
	c.Error("no send permission")
	refused("/topic/b", "no send permission")

	c = test.Dial(t, n).Connect("Authorization", token)
	c.Send(frames.SEND, "destination", "/topic/a", "x")
	r.span(t, "send")
	r.Reset()
	c.Send(frames.SEND, "destination", "/topic/a", "traceparent", clientParent, "x")
	c.Error("more than 1 messages a second")
	refused("/topic/a", "more than 1 messages a second")

	_, err := n.Broker.Send(t.Context(), &auth.Principal{Name: "bob"}, broker.Publication{Destination: "/topic/c", Headers: frames.Headers{{Name: "traceparent", Value: clientParent}}})
	require.Error(t, err)
	refused("/topic/c", "no send permission")
}

func TestATraceGoesOnInAWebhook(t *testing.T) {
	t.Parallel()
	headers := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header.Get("Traceparent")
		_, _ = io.WriteString(w, `{"messages":[{"destination":"/topic/done","body":"done"},{"destination":"/topic/own","headers":{"traceparent":"`+otherParent+`"},"body":"own"}]}`)
	}))
	defer server.Close()
	r := record(t, "a")
	n := test.Start(t, test.Options{Broker: broker.Options{Tracer: r.tracer}})
	hook, err := webhook.New(n.Broker, webhook.Options{Name: "h", URL: server.URL, Secret: []byte("a secret of tests, with more than 32 bytes"), Grants: auth.AllGrants(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer hook.Close()
	require.NoError(t, n.Broker.Handle("/app/h", hook.Handle))
	c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "ann", time.Hour, auth.AllGrants()))
	c.Subscribe("s", "/topic/**")
	c.Send(frames.SEND, "destination", "/app/h", "traceparent", clientParent, "body")
	posted := <-headers
	done, own := c.Message("done"), c.Message("own")
	span := r.span(t, "webhook")
	require.Equal(t, "00-"+clientTrace+"-"+span.SpanContext.SpanID().String()+"-01", posted)
	sends := r.to(t, "send", "/app/h", "/topic/done", "/topic/own")
	requireBelow(t, sends[0], span)
	requireBelow(t, sends[0], r.to(t, "route", "/app/h")[0])
	requireBelow(t, span, sends[1])
	require.Equal(t, otherTrace, sends[2].SpanContext.TraceID().String(), "a message of the answer keeps its own")
	require.Equal(t, "00-"+clientTrace+"-"+sends[1].SpanContext.SpanID().String()+"-01", done.Get("traceparent"))
	require.Equal(t, "00-"+otherTrace+"-"+sends[2].SpanContext.SpanID().String()+"-01", own.Get("traceparent"))
}

// TestATraceGoesOnInARequestThatSends: its header is the parent of all messages that have none.
func TestATraceGoesOnInARequestThatSends(t *testing.T) {
	t.Parallel()
	r := record(t, "a")
	n := test.Start(t, test.Options{Broker: broker.Options{Tracer: r.tracer}})
	server := httptest.NewServer(httpapi.New(n.Broker, httpapi.Options{}))
	defer server.Close()
	send := func(body string, parents ...string) {
		q, err := http.NewRequest(http.MethodPost, server.URL+"/api/send", strings.NewReader(body))
		require.NoError(t, err)
		q.Header.Set("Content-Type", "application/json")
		q.SetBasicAuth("guest", "guest")
		for _, parent := range parents {
			q.Header.Add("traceparent", parent)
		}
		answer, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	send(`{"destination":"/topic/a"}`, clientParent)
	single := r.to(t, "send", "/topic/a")[0]
	require.Equal(t, clientTrace, single.SpanContext.TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", single.Parent.SpanID().String())

	r.Reset()
	send(`{"messages":[{"destination":"/topic/a"},{"destination":"/queue/b"},{"destination":"/topic/own","headers":{"traceparent":"`+otherParent+`"}}]}`, clientParent)
	all := r.to(t, "send", "/topic/a", "/queue/b", "/topic/own")
	require.Equal(t, clientTrace, all[0].SpanContext.TraceID().String())
	require.Equal(t, clientTrace, all[1].SpanContext.TraceID().String())
	require.Equal(t, otherTrace, all[2].SpanContext.TraceID().String())

	for _, parents := range [][]string{nil, {"00-0-0-0"}, {clientParent, otherParent}} {
		r.Reset()
		send(`{"destination":"/topic/a"}`, parents...)
		require.False(t, r.to(t, "send", "/topic/a")[0].Parent.IsValid(), "%v is no parent", parents)
	}
}

// TestSpansAreExportedByOTLP as the variables of OpenTelemetry say.
func TestSpansAreExportedByOTLP(t *testing.T) {
	requests := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := new(collector.ExportTraceServiceRequest)
		if err == nil && r.URL.Path == "/v1/traces" && proto.Unmarshal(body, request) == nil {
			requests <- request
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	tracer, err := FromEnvironment(context.Background(), "v1", "n1", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	span := tracer.Start("send", trace.Producer, clientParent, "/topic/a")
	span.Count("deliveries", 3)
	span.End(io.EOF)
	tracer.Close()
	request := <-requests
	require.Len(t, request.GetResourceSpans(), 1)
	resource := map[string]string{}
	for _, a := range request.GetResourceSpans()[0].GetResource().GetAttributes() {
		resource[a.GetKey()] = a.GetValue().GetStringValue()
	}
	require.Subset(t, resource, map[string]string{"service.name": "stompbox", "service.version": "v1", "service.instance.id": "n1", "deployment.environment.name": "test"})
	exported := request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]
	require.Equal(t, "send", exported.GetName())
	require.Equal(t, "EOF", exported.GetStatus().GetMessage())
}

func TestTracesAreOffUnlessTheVariablesAskForThem(t *testing.T) {
	t.Parallel()
	const endpoint = "http://127.0.0.1:4318"
	for name, c := range map[string]struct {
		env  map[string]string
		on   bool
		says string
	}{
		"nothing":       {nil, false, ""},
		"endpoint":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true, ""},
		"of traces":     {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}, true, ""},
		"default":       {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"none":          {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, false, ""},
		"disabled":      {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, false, ""},
		"other":         {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "use otlp or none"},
		"other by gRPC": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "use http/protobuf"},
	} {
		on, err := enabled(func(name string) string { return c.env[name] })
		require.Equal(t, c.on, on, name)
		if c.says == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.says, name)
		}
	}
	var off *Tracer
	off.Close()
}

func TestWhatIsNoTraceparentIsNoParent(t *testing.T) {
	t.Parallel()
	_, ok := parse(clientParent)
	require.True(t, ok)
	_, ok = parse("01" + clientParent[2:] + "-more") // of a later version
	require.True(t, ok)
	for _, text := range []string{"", "00", clientParent[:54], clientParent + "-more", "ff" + clientParent[2:], "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-" + clientTrace + "-0000000000000000-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-xbf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "01" + clientParent[2:] + "more"} {
		_, ok := parse(text)
		require.False(t, ok, text)
	}
}
