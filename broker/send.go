package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stompbox/stompbox/auth"
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

// SendError says which message of several has a fault, for which none was sent.
type SendError struct {
	Index int // in the order in which they were given, from 0
	Err   *Error
}

func (e *SendError) Error() string { return fmt.Sprintf("message %d: %v", e.Index, e.Err) }

func (e *SendError) Unwrap() error { return e.Err }

// Send sends messages for a principal that has no session, as a transaction would:
// all are checked, by the interceptors and the limits of transactions too, then those
// that are stored are stored together, and then all others are sent in their order.
// It returns when they are stored and app servers have taken requests.
//
// A [*SendError] or an [*Error] says that nothing was sent, but for an Error with
// [CodeUnavailable] or [CodeNotStored], after which that is not known; a dedup-id makes
// trying again safe for what is stored. The slice has the [*Error] of each request to
// /app that no app server took, by index, and is nil where there is none.
//
// The principal is taken at its word: an embedding program makes one with what it may
// do. It is safe for concurrent use.
func (b *Broker) Send(ctx context.Context, p *auth.Principal, all ...Publication) ([]error, error) {
	ops, err := b.newOperations(origin{principal: p}, all)
	if err != nil {
		return nil, err
	}
	if b.draining.Load() {
		return nil, shuttingDown("the server is shutting down; send it to another node")
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := b.executeStores(ctx, ops); err != nil {
		return nil, protocolError(err)
	}
	outcomes := make([]chan error, len(ops))
	for i, op := range ops {
		if op.store != nil || (op.run == nil && op.runAsync == nil) {
			continue // stored, or dropped by an interceptor
		}
		outcome := make(chan error, 1)
		outcomes[i] = outcome
		if op.run != nil {
			outcome <- op.run()
		} else {
			op.runAsync(func(err error) { outcome <- err })
		}
	}
	return b.awaitAll(ctx, outcomes), nil
}

// newOperations checks messages. A step of nothing is one that an interceptor dropped.
func (b *Broker) newOperations(from origin, all []Publication) ([]operation, error) {
	l := &b.settings().limits
	if len(all) > l.MaxTransactionFrames {
		return nil, errorf(CodeTransactionSize, "%d messages are too many: the limit is %d", len(all), l.MaxTransactionFrames)
	}
	size, ops := 0, make([]operation, len(all))
	for i := range all {
		if size += len(all[i].Body); size > l.MaxTransactionBytes {
			return nil, errorf(CodeTransactionSize, "the bodies are too large: the limit is %d bytes together", l.MaxTransactionBytes)
		}
		var err error
		if ops[i], err = b.newPublicationOperation(from, &all[i]); err != nil {
			return nil, &SendError{Index: i, Err: protocolError(err)}
		}
	}
	return ops, nil
}

func (b *Broker) newPublicationOperation(from origin, o *Publication) (operation, error) {
	f := &frames.Frame{Command: frames.SEND, Headers: o.Headers, Body: o.Body}
	if err := b.checkPublication(f); err != nil {
		return operation{}, err
	}
	target, err := b.authorizeSend(from, o.Destination, f)
	var rejected *rejection
	switch {
	case errors.As(err, &rejected):
		b.counters.rejected.Add(1)
		return operation{}, errorf(CodeRejected, "%s", rejected.why)
	case err != nil:
		return operation{}, err
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
func (b *Broker) checkPublication(f *frames.Frame) error {
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
func (b *Broker) executeStores(ctx context.Context, ops []operation) error {
	var stores []driver.StoreRequest
	var single operation
	for _, op := range ops {
		if op.store != nil {
			stores, single = append(stores, *op.store), op
		}
	}
	if len(stores) != 1 {
		return b.storeAll(stores)
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
func (b *Broker) awaitAll(ctx context.Context, all []chan error) (failed []error) {
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
