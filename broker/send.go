package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// Publication is a message for [Broker.Send]. Its headers are those of a SEND.
type Publication struct {
	Destination string
	Headers     frames.Headers
	Body        []byte
}

// SendError says which of several messages is invalid. None was sent.
type SendError struct {
	Index int // in the order in which they were given, from 0
	Err   *Error
}

func (e *SendError) Error() string { return fmt.Sprintf("message %d: %v", e.Index, e.Err) }

func (e *SendError) Unwrap() error { return e.Err }

// newOperations checks messages. A step of nothing is one that an interceptor dropped.
func (b publisher) newOperations(from origin, all []Publication) ([]operation, error) {
	l := &b.settings().limits
	if len(all) > l.MaxTransactionFrames {
		return nil, errorf(CodeTransactionSize, "%d messages are too many: the limit is %d", len(all), l.MaxTransactionFrames).of("transaction_frames")
	}
	size, ops := 0, make([]operation, len(all))
	for i := range all {
		if size += len(all[i].Body); size > l.MaxTransactionBytes {
			return nil, errorf(CodeTransactionSize, "the bodies are too large: the limit is %d bytes together", l.MaxTransactionBytes).of("transaction_bytes")
		}
		var err error
		if ops[i], err = b.newPublicationOperation(from, &all[i]); err != nil {
			return nil, &SendError{Index: i, Err: protocolError(err)}
		}
	}
	return ops, nil
}

func (b publisher) newPublicationOperation(from origin, o *Publication) (operation, error) {
	f := &frames.Frame{Command: frames.SEND, Headers: o.Headers, Body: o.Body}
	if err := b.admission.checkPublication(f); err != nil {
		return operation{}, b.traceRefused(f, o.Destination, err)
	}
	target, err := b.admission.authorizeSend(from, o.Destination, f)
	var rejected *rejection
	switch {
	case errors.As(err, &rejected):
		b.counters.rejected.Add(1)
		return operation{}, errorf(CodeRejected, "%s", rejected.why)
	case err != nil:
		return operation{}, b.traceRefused(f, o.Destination, err)
	case target.dropped:
		b.counters.rejected.Add(1)
		return operation{}, nil
	}
	if reply, ok := f.Headers.Lookup(HeaderReplyTo); ok && (target.kind == destination.App || strings.HasPrefix(reply, destination.TempQueuePrefix)) {
		return operation{}, errorf(CodeBadHeader, "reply-to %q: an answer needs a session to come to, and there is none", reply)
	}
	op, err := b.newOperation(from, target, f)
	if err == nil {
		b.counters.received.Add(1)
	}
	return op, err
}

// checkPublication holds what did not come as a frame to the limits of frames.
func (b admission) checkPublication(f *frames.Frame) error {
	l := &b.settings().limits.Frame
	switch {
	case len(f.Body) > l.MaxBody:
		return errorf(frames.CodeBodySize, "the body is larger than the limit of %d bytes", l.MaxBody)
	case len(f.Headers) > l.MaxHeaders:
		return errorf(frames.CodeHeaderCount, "too many headers: a message may have %d", l.MaxHeaders)
	}
	for _, h := range f.Headers {
		if h.Name == "" {
			return errorf(frames.CodeHeader, "a header has an empty name")
		}
		if len(h.Name)+len(h.Value)+1 > l.MaxHeaderLine {
			return errorf(frames.CodeHeaderLine, "the header %.40q is longer than the limit of %d bytes", h.Name, l.MaxHeaderLine)
		}
	}
	return nil
}

// executeStores stores what is to be stored, and waits for that.
func (b publisher) executeStores(ctx context.Context, ops []operation) error {
	var stores []driver.StoreRequest
	var single operation
	for _, op := range ops {
		if op.store != nil {
			stores, single = append(stores, *op.store), op
		}
	}
	if len(stores) != 1 {
		err := b.stores.storeAll(stores)
		endStored(ops, err)
		return err
	}
	stored := make(chan error, 1)
	single.runAsync(func(err error) { stored <- err })
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return storeError("destination \""+stores[0].Message.Key+"\"", fmt.Errorf("%w: %w", driver.ErrUnavailable, ctx.Err()))
	}
}

// awaitAll waits for what becomes of requests.
func (b publisher) awaitAll(ctx context.Context, all []chan error) (failed []error) {
	for i, outcome := range all {
		if outcome == nil {
			continue
		}
		var err error
		select {
		case err = <-outcome:
		case <-ctx.Done():
			err = &Error{Code: CodeUnavailable, Message: "it is not known whether an app server has the request", Cause: ctx.Err()}
		}
		if err != nil {
			if failed == nil {
				failed = make([]error, len(all))
			}
			failed[i] = protocolError(err)
		}
	}
	return failed
}
