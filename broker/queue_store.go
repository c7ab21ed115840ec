package broker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/frames"
)

const (
	// retryAfter is when a sender may try again that the store could not serve.
	retryAfter = 5
	// storeTimeout bounds how long a COMMIT waits for the store.
	storeTimeout = 15 * time.Second
)

// stores hands messages to the backend that keeps them.
type stores struct{ *Broker }

// queueOperation checks a SEND to a queue and returns what carries it out.
func (b stores) queueOperation(f *frames.Frame, m *driver.Message) (operation, error) {
	if b.store == nil {
		return operation{}, noStore(m.Key)
	}
	if b.settings().queues.transient(m.Key, f) {
		return b.transientOperation(f, m), nil
	}
	policy := b.settings().queues.policy(m.Key)
	o := driver.StoreOptions{Queue: policy.options()}
	if err := checkBooleans(f, HeaderPersistent, HeaderAutoDelete); err != nil {
		return operation{}, err
	}
	if value, ok := f.Headers.Lookup(HeaderPersistent); isTrue(f, HeaderAutoDelete) || ok && strings.EqualFold(value, "false") {
		o.Queue = driver.QueueOptions{Memory: true}
	}
	return b.storeOperation(f, m, o, policy.MaxAge, &b.counters.stored)
}

// storeOperation returns what writes a SEND to the store, which has the last word. The
// message expires when its sender says, and after maxAge where that is not 0.
func (b stores) storeOperation(f *frames.Frame, m *driver.Message, o driver.StoreOptions, maxAge time.Duration, count *atomic.Int64) (operation, error) {
	requested, err := expiry(f)
	if err != nil {
		return operation{}, err
	}
	now := time.Now()
	if o.Expires = expires(requested, maxAge, now); o.Expires > 0 && o.Expires <= now.UnixMilli() {
		return operation{run: func() error { b.counters.expired.Add(1); return nil }}, nil
	}
	if o.DedupID, err = b.dedupID(m.User, f); err != nil {
		return operation{}, err
	}
	return operation{
		runAsync: func(done func(error)) {
			began := b.clock.now()
			store := b.step("nats store", trace.Client, m)
			b.store.Store(m, o, func(err error) {
				store.end(err)
				b.counters.storeLatency.Observe(time.Duration(b.clock.now() - began))
				done(b.stored(m, err, count))
			})
		},
		store:   &driver.StoreRequest{Message: m, Options: o},
		outcome: func(err error) error { return b.stored(m, err, count) },
		size:    len(m.Body),
		memory:  messageBytes(m),
	}, nil
}

func noStore(destination string) *Error {
	return errorf(CodeNotAvailable, "destination %q: this server has no store for queues", destination)
}

// stored counts a message that was stored, or says what is wrong in a way that
// its sender can read.
func (b stores) stored(m *driver.Message, err error, count *atomic.Int64) error {
	if err == nil {
		count.Add(1)
		return nil
	}
	b.counters.refused.Add(1)
	return storeError("destination \""+m.Key+"\"", err)
}

func storeError(what string, err error) error {
	var own *Error
	if errors.As(err, &own) {
		own.Message = what + ": " + own.Message + "; nothing was stored"
		return own
	}
	switch {
	case errors.Is(err, errOverShare):
		return &Error{Code: CodeQueueFull, Message: what + ": as many of your messages wait in it as it keeps of one sender; nothing was stored", Cause: err, retryAfter: retryAfter}
	case errors.Is(err, driver.ErrQueueFull):
		return &Error{Code: CodeQueueFull, Message: what + ": the queue is full; nothing was stored", Cause: err, retryAfter: retryAfter}
	case errors.Is(err, driver.ErrKeyTooLong):
		return &Error{Code: CodeDestination, Message: what + ": the name is too long; nothing was stored", Cause: err}
	case errors.Is(err, driver.ErrUnavailable):
		return &Error{Code: CodeUnavailable, Message: what + ": the message store is not available; the message may not have been stored, send it again", Cause: err, retryAfter: retryAfter}
	}
	return &Error{Code: CodeNotStored, Message: what + ": the message could not be stored; the broker's log says why", Cause: err, retryAfter: retryAfter}
}

// storeAll writes the queue messages of a transaction, and returns when they
// are stored.
func (b stores) storeAll(all []driver.StoreRequest) error {
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(b.ctx, storeTimeout)
	defer cancel()
	began := b.clock.now()
	store := b.step("nats store", trace.Client, all[0].Message)
	store.count("messages", len(all))
	err := b.store.StoreAll(ctx, all)
	store.end(err)
	b.counters.storeLatency.Observe(time.Duration(b.clock.now() - began))
	if err == nil {
		for _, request := range all {
			if request.Options.History != "" {
				b.counters.kept.Add(1)
			} else {
				b.counters.stored.Add(1)
			}
		}
		return nil
	}
	b.counters.refused.Add(int64(len(all)))
	return storeError("transaction", err)
}

// expiry reads the expires header: milliseconds since 1970, 0 or nothing for never.
func expiry(f *frames.Frame) (int64, error) {
	value, ok := f.Headers.Lookup(HeaderExpires)
	if !ok || value == "" {
		return 0, nil
	}
	at, err := strconv.ParseInt(value, 10, 64)
	if err != nil || at < 0 {
		return 0, errorf(CodeBadHeader, "expires %q is not a time in milliseconds since 1970", value)
	}
	return at, nil
}

func isTrue(f *frames.Frame, header string) bool {
	value, _ := f.Headers.Lookup(header)
	return strings.EqualFold(value, "true")
}
