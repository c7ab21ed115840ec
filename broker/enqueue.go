package broker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
)

const (
	// retryAfter is when a sender may try again that the store could not serve.
	retryAfter = 5
	// storeTimeout bounds how long a COMMIT waits for the store.
	storeTimeout = 15 * time.Second
)

// enqueue checks a SEND to a queue and returns what carries it out.
func (s *Session) enqueue(f *frames.Frame, destination string) (step, error) {
	b := s.broker
	if b.store == nil {
		return step{}, noStore(destination)
	}
	expires, bad := expiry(f)
	if bad != nil {
		return step{}, bad
	}
	m := s.message(f, destination, destination)
	if b.defaults.transient(destination) || isTrue(f, HeaderAutoDelete) {
		return step{run: func() error { return b.sendTransient(m) }}, nil
	}
	now := time.Now()
	policy := b.defaults.policy(destination)
	if expires = policy.expires(expires, now); expires > 0 && expires <= now.UnixMilli() {
		return step{run: func() error { b.counters.expired.Add(1); return nil }}, nil
	}
	o := StoreOptions{Queue: policy.options(), DedupID: strings.Clone(f.Get(HeaderDedupID)), Expires: expires}
	if value, ok := f.Headers.Lookup(HeaderPersistent); ok && strings.EqualFold(value, "false") {
		o.Queue = QueueOptions{Memory: true}
	}
	return step{
		run: func() error {
			a := s.line.expect(f, len(m.Body))
			b.store.Store(m, o, func(err error) { a.resolve(b.stored(m, err)) })
			return errLater
		},
		store: &StoreRequest{Message: m, Options: o},
	}, nil
}

func noStore(destination string) *Error {
	return errorf(CodeNotAvailable, "destination %q: this server has no store for queues", destination)
}

// stored counts a message that was stored, or says what is wrong in a way that
// its sender can read.
func (b *Broker) stored(m *Message, err error) error {
	if err == nil {
		b.counters.stored.Add(1)
		return nil
	}
	b.counters.refused.Add(1)
	return storeError("destination \""+m.Key+"\"", err)
}

func storeError(what string, err error) error {
	switch {
	case errors.Is(err, ErrQueueFull):
		return &Error{Code: CodeQueueFull, Message: what + ": the queue is full; nothing was stored", Cause: err, retryAfter: retryAfter}
	case errors.Is(err, ErrUnavailable):
		return &Error{Code: CodeUnavailable, Message: what + ": the message store is not available; the message may not have been stored, send it again", Cause: err, retryAfter: retryAfter}
	}
	return &Error{Code: CodeNotStored, Message: what + ": the message could not be stored; the broker's log says why", Cause: err, retryAfter: retryAfter}
}

// storeAll writes the queue messages of a transaction, and returns when they
// are stored.
func (b *Broker) storeAll(all []StoreRequest) error {
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(b.ctx, storeTimeout)
	defer cancel()
	err := b.store.StoreAll(ctx, all)
	if err == nil {
		b.counters.stored.Add(int64(len(all)))
		return nil
	}
	b.counters.refused.Add(int64(len(all)))
	return storeError("transaction", err)
}

// expiry reads the expires header: milliseconds since 1970, 0 or nothing for never.
func expiry(f *frames.Frame) (int64, *Error) {
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
