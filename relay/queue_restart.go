package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// When JetStream starts it looks after a second at which messages are overdue, and
// delivers new ones meanwhile. So new ones wait when a consumer is first read after a
// restart and has something that is to come again. After a kill nothing was given back, and
// all that was held counts as overdue: no client is left that has it.

const (
	// oldFirstFor bounds how long new messages wait.
	oldFirstFor = 3 * time.Second
	// longerAckWait is by how much the ack wait is changed, which has the server look at
	// what is overdue within 100 ms.
	longerAckWait = time.Millisecond
	// expireAckWait is the ack wait for the time expireFor, in which nothing is pulled, where
	// all that was held is to be overdue.
	expireAckWait, expireFor = time.Millisecond, 250 * time.Millisecond
)

// waitForOld has a consumer deliver nothing new until the first message came that comes
// again. The others are behind that one by then.
func (q *reader) waitForOld(ctx context.Context, stream string, config jetstream.ConsumerConfig) {
	l := q.readers.link
	waiting := config
	waiting.MaxAckPending = 1 // what comes again is delivered above it
	if l.server.data.unclean {
		waiting.AckWait = expireAckWait
		if _, err := l.js.UpdateConsumer(ctx, stream, waiting); err == nil {
			pause(ctx, expireFor)
		}
	}
	waiting.AckWait = config.AckWait + longerAckWait
	if _, err := l.js.UpdateConsumer(ctx, stream, waiting); err != nil {
		l.log.Debug("new messages could not be kept back", "destination", q.source.name(), "error", err)
	}
	came := make(chan struct{})
	q.mu.Lock()
	q.came = came
	q.mu.Unlock()
	l.background.Go(func() {
		select {
		case <-came:
		case <-time.After(oldFirstFor):
		case <-l.ctx.Done():
			return // who reads it next sets what it should have
		}
		l.deliverAll(stream, config)
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// deliverAll gives a consumer its configuration back.
func (l *link) deliverAll(stream string, config jetstream.ConsumerConfig) {
	for {
		ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
		_, err := l.js.UpdateConsumer(ctx, stream, config)
		cancel()
		if err == nil || errors.Is(err, jetstream.ErrConsumerDoesNotExist) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			return
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(reopenWait):
		}
	}
}
