package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// maxTransferPause is for how long a transfer may stand still although the broker answers other
// requests: its store may have much to check.
const maxTransferPause = 10 * time.Minute

// patience ends a request whose broker has taken and sent nothing for a time. It is no bound of all of
// a long transfer.
type patience struct {
	ctx    context.Context
	limit  time.Duration
	alive  func() bool // nil: silence is enough
	cancel context.CancelCauseFunc
	timer  *time.Timer
	moved  atomic.Int64 // when something was last taken or sent, in nanoseconds
}

func newPatience(ctx context.Context, limit time.Duration, alive func() bool) (context.Context, *patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &patience{ctx: ctx, limit: limit, alive: alive, cancel: cancel}
	p.moved.Store(time.Now().UnixNano())
	p.timer = time.AfterFunc(maxTransferPause, p.expire)
	p.timer.Reset(limit) // it must not expire before the line above is done
	return ctx, p
}

// expire looks whether it has been silent for so long.
func (p *patience) expire() {
	silent := time.Since(time.Unix(0, p.moved.Load()))
	switch {
	case p.ctx.Err() != nil: // it is over
	case silent < p.limit:
		p.timer.Reset(p.limit - silent)
	case p.alive != nil && silent < maxTransferPause && p.alive():
		p.timer.Reset(p.limit)
	case p.alive != nil:
		p.cancel(&silentError{silent.Truncate(100 * time.Millisecond)})
	default:
		p.cancel(&silentError{p.limit})
	}
}

// cause is the reason of an error of the request, which may be that patience is over.
func (p *patience) cause(err error) error {
	var silent *silentError
	if err != nil && errors.As(context.Cause(p.ctx), &silent) {
		return silent
	}
	return err
}

func (p *patience) end() {
	p.timer.Stop()
	p.cancel(nil)
}

// watchedBody notes what is read of a body.
type watchedBody struct {
	*patience
	io.Reader
}

func (b watchedBody) Read(buffer []byte) (int, error) {
	n, err := b.Reader.Read(buffer)
	if n > 0 {
		b.moved.Store(time.Now().UnixNano())
	}
	return n, err
}

// watchedAnswer is the body of an answer. To close it ends the request.
type watchedAnswer struct {
	watchedBody
	close func() error
	fail  func(error) error // what an error means
}

func (b watchedAnswer) Read(buffer []byte) (int, error) {
	n, err := b.watchedBody.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fail(b.cause(err))
	}
	return n, err
}

func (b watchedAnswer) Close() error {
	defer b.end()
	return b.close()
}
