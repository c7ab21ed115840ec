package broker

import (
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/frames"
)

// HeaderTraceparent is the header of W3C Trace Context. On a SEND it names the sender's span, and
// on a MESSAGE the span of the SEND.
const HeaderTraceparent = "traceparent"

// step is a span, or nothing where there is no tracer: then its methods do nothing.
type step struct {
	tracer      trace.Tracer
	span        trace.Span
	destination string
}

// step begins a span of a message.
func (b *Broker) step(name string, kind trace.Kind, m *driver.Message) step {
	if b.tracer == nil {
		return step{}
	}
	parent, _ := m.Headers.Lookup(HeaderTraceparent)
	return step{b.tracer, b.tracer.Start(name, kind, parent, m.Destination), m.Destination}
}

// below begins a span below another one.
func (s step) below(name string, kind trace.Kind) step {
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

// StartSpan begins a span for a program that forwards requests, such as a webhook, as a child of
// the span that the headers name. It returns nil if tracing is off.
func (b *Broker) StartSpan(name string, kind trace.Kind, headers frames.Headers, destination string) trace.Span {
	if b.tracer == nil {
		return nil
	}
	parent, _ := headers.Lookup(HeaderTraceparent)
	return b.tracer.Start(name, kind, parent, destination)
}

// ContinueTrace gives messages the traceparent that came with them, such as in a header of HTTP. A
// message that has one keeps its own, and one without room for another header stays without. What is no
// traceparent is ignored.
func ContinueTrace(b *Broker, all []Publication, traceparent string) {
	if !trace.IsParent(traceparent) {
		return
	}
	limit := b.settings().limits.Frame.MaxHeaders
	for i := range all {
		p := &all[i]
		if _, has := p.Headers.Lookup(HeaderTraceparent); !has && len(p.Headers) < limit {
			p.Headers = p.Headers.With(HeaderTraceparent, traceparent)
		}
	}
}

// traceRefused records a SEND that was not taken as a span with the error, and returns the error.
func (b publisher) traceRefused(f *frames.Frame, destination string, err error) error {
	if b.tracer != nil {
		parent, _ := f.Headers.Lookup(HeaderTraceparent)
		b.tracer.Start("send", trace.Producer, parent, truncate(destination, maxQuoted)).End(err)
	}
	return err
}

// tracedOperation is makeOperation with a span, which the message names from then on.
func (b publisher) tracedOperation(from origin, to sendTarget, f *frames.Frame) (operation, error) {
	parent, _ := f.Headers.Lookup(HeaderTraceparent)
	span := b.tracer.Start("send", trace.Producer, parent, to.destination)
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
