// Package trace is the interface of a tracer, which records spans for what a broker does with
// messages. Package internal/tracing of the command has one for OpenTelemetry.
package trace

// Kind is the role of a span in a trace.
type Kind uint8

// The kinds of spans.
const (
	Internal Kind = iota
	Producer      // a message is taken from its sender
	Consumer      // it is delivered
	Client        // a server is asked
)

// Tracer records spans for what the broker does with messages. It must be safe for concurrent
// use, and fast: it is called for each message.
type Tracer interface {
	// Start begins a span as a child of the one that a traceparent names, or a new trace if there
	// is none. The destination is that of the message.
	Start(name string, kind Kind, traceparent, destination string) Span
}

// Span is one step of a message.
type Span interface {
	// Traceparent returns the value that identifies the span to other programs.
	Traceparent() string
	// Count records a number, such as the number of deliveries.
	Count(name string, n int)
	// End ends the span; err is why the step failed, or nil. It is called once.
	End(err error)
}
