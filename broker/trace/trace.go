// Package trace is the contract of a tracer, which makes spans of what a broker does with
// messages. Package internal/tracing of the command has one for OpenTelemetry.
package trace

// Kind is what part a span has in a trace.
type Kind uint8

// The kinds of spans.
const (
	Internal Kind = iota
	Producer      // a message is taken from its sender
	Consumer      // it is delivered
	Client        // a server is asked
)

// Tracer makes spans of what the broker does with messages. It must be safe for concurrent
// use, and fast: it is called for each message.
type Tracer interface {
	// Start begins a span below the one that a traceparent names, or a trace of its own
	// where there is none. The destination is that of the message.
	Start(name string, kind Kind, traceparent, destination string) Span
}

// Span is one step of a message.
type Span interface {
	// Traceparent names the span to others.
	Traceparent() string
	// Count adds a number, such as that of deliveries.
	Count(name string, n int)
	// End ends the span; err is why the step failed, or nil. It is called once.
	End(err error)
}
