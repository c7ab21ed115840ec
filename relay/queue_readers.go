package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// reopenWait is between attempts to find a consumer that is gone.
const reopenWait = 500 * time.Millisecond

// maxRecovering is how many consumers are looked for at a time.
const maxRecovering = 32

// readers are all readers of this node, and make the consumers that they read from.
type readers struct {
	link    *link
	acks    *acks
	ackWait time.Duration
	dedup   *dedupJournal
	known   *knownConsumers
	// recovering has room for those that may be looked for at a time.
	recovering chan struct{}

	mu   sync.Mutex // guards the following
	open map[*reader]struct{}
	// returning are those that were closed and still give back, by their pull subjects.
	returning map[string]chan struct{}
}

func newReaders(l *link, a *acks, dedup *dedupJournal, known *knownConsumers, ackWait time.Duration) *readers {
	return &readers{link: l, acks: a, ackWait: ackWait, dedup: dedup, known: known, recovering: make(chan struct{}, maxRecovering), open: make(map[*reader]struct{}), returning: make(map[string]chan struct{})}
}

// openReader begins to read from a source.
func (r *readers) openReader(ctx context.Context, source readerSource, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	q := &reader{readers: r, source: source, deliver: deliver, heard: time.Now(), lost: source.idle(), inbox: nats.NewInbox()}
	if !q.lost {
		if err := q.ensure(ctx); err != nil {
			return nil, err
		}
		if err := q.listen(); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[q] = struct{}{}
	return q, nil
}

func (r *readers) all() []*reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*reader, 0, len(r.open))
	for q := range r.open {
		all = append(all, q)
	}
	return all
}

// consumers returns what this node reads from, by the subject of pull requests.
func (r *readers) consumers() map[string]struct{} {
	open := make(map[string]struct{})
	for _, q := range r.all() {
		q.mu.Lock()
		open[q.next] = struct{}{}
		q.mu.Unlock()
	}
	return open
}

// recover begins to find the consumers again that are gone. One whose leader does not answer
// keeps no other waiting.
func (r *readers) recover(now time.Time) {
	for _, q := range r.all() {
		select {
		case r.recovering <- struct{}{}:
		default:
			return // the next time
		}
		if !q.beginRecovery(now) {
			<-r.recovering
			continue
		}
		r.link.background.Go(func() {
			defer func() { <-r.recovering }()
			ctx, cancel := context.WithTimeout(r.link.ctx, setupTimeout)
			defer cancel()
			q.recover(ctx)
		})
	}
}

// markLost has all consumers looked for again.
func (r *readers) markLost() {
	r.known.again()
	for _, q := range r.all() {
		q.markLost()
	}
}

// routesMade has the consumers asked again that servers lead to which a route was made: a
// leader forgets the pull requests that it cannot answer over the one before.
func (r *readers) routesMade(to []string) {
	for _, q := range r.all() {
		q.mu.Lock()
		if q.outstanding > 0 && slices.Contains(to, q.leader) {
			q.lost = true
		}
		q.mu.Unlock()
	}
}

// consumerConfig is the same on all nodes.
func (r *readers) consumerConfig(name, description string, subjects ...string) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: name, Description: description,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: r.ackWait, MaxDeliver: -1, MaxAckPending: -1,
	}
	if len(subjects) == 1 {
		c.FilterSubject = subjects[0]
	} else {
		c.FilterSubjects = subjects
	}
	return c
}

const (
	// makeTries and makePause are for a consumer that cannot be made.
	makeTries = 5
	makePause = 50 * time.Millisecond
)

// makeConsumer makes a consumer, or finds the one that is there. While the server
// still removes the files of one that had the same name, making another one fails; so
// it is tried again. It waits until an earlier reader of this node has given back what it
// had, which may remove the consumer.
func (r *readers) makeConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (consumer jetstream.Consumer, err error) {
	r.awaitReturned(ctx, pullSubject(stream, config.Durable))
	for try := range makeTries {
		consumer, err = r.link.js.CreateOrUpdateConsumer(ctx, stream, config)
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeConsumerCreate && api.ErrorCode != jetstream.JSErrCodeConsumerDoesNotExist {
			return consumer, err
		}
		select {
		case <-time.After(makePause << try):
		case <-ctx.Done():
			return nil, err
		}
	}
	return nil, err
}

// deleteIdleConsumer removes a consumer that no node pulls from and that remembers
// nothing, so that an idle queue costs its messages alone.
func (r *readers) deleteIdleConsumer(stream, consumer string) {
	ctx, cancel := context.WithTimeout(r.link.ctx, setupTimeout)
	defer cancel()
	if r.link.conn.FlushWithContext(ctx) != nil {
		return
	}
	c, err := r.link.js.Consumer(ctx, stream, consumer)
	if err != nil {
		return
	}
	if removable, err := isRemovable(ctx, r.link, c.CachedInfo(), time.Now()); err == nil && removable {
		_ = r.link.js.DeleteConsumer(ctx, stream, consumer)
	}
}
