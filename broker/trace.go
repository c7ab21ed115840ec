package broker

import (
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// HeaderTraceparent is the header of W3C Trace Context, by which a SEND names the span of
// its sender, and a MESSAGE that of the SEND.
const HeaderTraceparent = "traceparent"

// SpanKind is what part a span has in a trace.
type SpanKind uint8

// The kinds of spans.
const (
	SpanInternal SpanKind = iota
	SpanProducer          // a message is taken from its sender
	SpanConsumer          // it is delivered
	SpanClient            // a server is asked
)

// Tracer makes spans of what the broker does with messages. It must be safe for concurrent
// use, and fast: it is called for each message.
type Tracer interface {
	// Start begins a span below the one that a traceparent names, or a trace of its own
	// where there is none. The destination is that of the message.
	Start(name string, kind SpanKind, traceparent, destination string) Span
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

// step is a span, or nothing where there is no tracer: then its methods do nothing.
type step struct {
	tracer      Tracer
	span        Span
	destination string
}

// step begins a span of a message.
func (b *Broker) step(name string, kind SpanKind, m *driver.Message) step {
	if b.tracer == nil {
		return step{}
	}
	parent, _ := m.Headers.Lookup(HeaderTraceparent)
	return step{b.tracer, b.tracer.Start(name, kind, parent, m.Destination), m.Destination}
}

// below begins a span below another one.
func (s step) below(name string, kind SpanKind) step {
	if s.span == nil {
		return s
	}
	return step{s.tracer, s.tracer.Start(name, kind, s.span.Traceparent(), s.destination), s.destination}
}

func (s step) count(name string, n int) {
	if s.span != nil {
		s.span.Count(name, n)
	}
}

func (s step) end(err error) {
	if s.span != nil {
		s.span.End(err)
	}
}

// StartSpan begins a span for who carries requests on, such as a webhook, below the one
// that the headers name. It returns nil where nothing is traced.
func (b *Broker) StartSpan(name string, kind SpanKind, headers frames.Headers, destination string) Span {
	if b.tracer == nil {
		return nil
	}
	parent, _ := headers.Lookup(HeaderTraceparent)
	return b.tracer.Start(name, kind, parent, destination)
}

// tracedOperation is makeOperation with a span, which the message names from then on.
func (b publisher) tracedOperation(from origin, to sendTarget, f *frames.Frame) (operation, error) {
	parent, _ := f.Headers.Lookup(HeaderTraceparent)
	span := b.tracer.Start("send", SpanProducer, parent, to.destination)
	f.Headers = f.Headers.Without(HeaderTraceparent).With(HeaderTraceparent, span.Traceparent())
	op, err := b.makeOperation(from, to, f)
	if err != nil {
		span.End(err)
		return op, err
	}
	if m := op.topic; m != nil {
		op.topic = nil
		op.run = func() error { b.topics.publish(m, nil); return nil }
	}
	if run := op.run; run != nil {
		op.run = func() error {
			err := run()
			span.End(err)
			return err
		}
	}
	if run := op.runAsync; run != nil {
		op.runAsync = func(done func(error)) {
			run(func(err error) {
				span.End(err)
				done(err)
			})
		}
	}
	if outcome := op.outcome; outcome != nil {
		op.outcome = func(err error) error {
			span.End(err)
			return outcome(err)
		}
	}
	op.stored = span.End
	return op, nil
}

// endStored ends the spans of messages that were stored together.
func endStored(ops []operation, err error) {
	for _, op := range ops {
		if op.store != nil && op.stored != nil {
			op.stored(err)
		}
	}
}
