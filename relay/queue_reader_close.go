package relay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// returnTimeout bounds how long a reader that was closed keeps what it gives back.
const returnTimeout = 2 * time.Second

// Close ends the delivery. What was held, and what is still on its way, goes back in
// the order of the queue: once the server has forgotten the pull requests, as it takes
// a message that it finds no consumer for to the end of those that come again.
func (q *reader) Close(held []driver.Delivery) <-chan struct{} {
	q.mu.Lock()
	closed := q.closed
	q.closed = true
	if !closed {
		q.returns = append(q.returns, held...)
		q.comesAgain = q.comesAgain || len(held) > 0 && !q.served // what an earlier reader gave back
	}
	key, sub := q.next, q.sub
	q.mu.Unlock()
	if closed {
		for _, d := range held {
			q.Requeue(d)
		}
		returned := make(chan struct{})
		close(returned)
		return returned
	}
	drained, returned := make(chan struct{}), make(chan struct{})
	q.readers.remove(q, key, returned)
	if sub != nil {
		sub.SetClosedHandler(func(string) { close(drained) })
		_ = sub.Drain() // what is on its way still arrives
	} else {
		close(drained)
	}
	if key == "" { // it has read nothing
		q.mu.Lock()
		q.returns, q.returned = nil, true
		q.mu.Unlock()
		for _, d := range held {
			q.Requeue(d) // an earlier reader has
		}
		close(returned)
		return returned
	}
	q.readers.link.background.Go(func() {
		q.giveBack(drained)
		q.source.ended()
		q.readers.hasReturned(key, returned)
	})
	return returned
}

// keep takes a delivery that is to go back with the others, and reports whether it did.
func (q *reader) keep(d driver.Delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed || q.returned {
		return false
	}
	q.returns = append(q.returns, d)
	return true
}

// giveBack puts back what a closed reader had.
func (q *reader) giveBack(drained <-chan struct{}) {
	ctx, cancel := context.WithTimeout(q.readers.link.ctx, returnTimeout)
	defer cancel()
	select {
	case <-drained:
		q.mu.Lock()
		stream, consumer, waits := q.stream, q.consumer, q.outstanding > 0
		q.mu.Unlock()
		if waits {
			q.awaitRequests(ctx)
		}
		q.awaitRequeued(ctx)
		// To say how many requests wait, the server looks which of them have no interest.
		if c, err := q.readers.link.js.Consumer(ctx, stream, consumer); err == nil {
			q.fetchRedeliveries(ctx, c.CachedInfo())
		}
	case <-ctx.Done():
	}
	q.mu.Lock()
	all := q.returns
	q.returns, q.returned = nil, true
	q.mu.Unlock()
	slices.SortStableFunc(all, func(a, b driver.Delivery) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, d := range all {
		q.notify(d, overdueBody)
	}
	for i, d := range all {
		if i == len(all)-1 && ctx.Err() == nil { // else the relay is closing, which flushes
			// The server takes them one after the other, apart from what others pull.
			_, _ = q.readers.link.conn.RequestWithContext(ctx, subjectOf(d), nakBody)
			return
		}
		q.notify(d, nakBody)
	}
}

// badRequest is no pull request, which the server answers with an error.
var badRequest = []byte(`{"batch":"none"}`)

// awaitRequests returns when the server knows of all pull requests that the reader has sent. It takes
// them in one after the other, apart from all else that it is asked. One that it learned of later
// would get a message that goes back, and that has no consumer.
func (q *reader) awaitRequests(ctx context.Context) {
	q.mu.Lock()
	next := q.next
	q.mu.Unlock()
	_, _ = q.readers.link.conn.RequestWithContext(ctx, next, badRequest) // at worst the order is lost
}

// awaitRequeued returns when the server has taken in what the reader put back before it was
// closed: it answers all else apart from that, and takes in one after the other. What it
// learned of later would come before older messages that go back now.
func (q *reader) awaitRequeued(ctx context.Context) {
	q.mu.Lock()
	var one driver.Delivery
	matters := q.comesAgain && len(q.returns) > 0
	if matters {
		one = q.returns[0]
	}
	q.mu.Unlock()
	if matters {
		_, _ = q.readers.link.conn.RequestWithContext(ctx, subjectOf(one), extendBody) // at worst the order is lost
	}
}

const (
	// redeliveryBatch bounds how many messages are asked for at a time that come again.
	redeliveryBatch = 32
	// maxRedeliveries is how many of them a reader fetches at the most, since it is work that
	// each client can make by leaving. Where there are more, their order is not kept.
	maxRedeliveries = 1024
)

// fetchRedeliveries takes what the server was about to deliver again as the reader was
// closed. It would come before what the reader gives back, which is older.
func (q *reader) fetchRedeliveries(ctx context.Context, info *jetstream.ConsumerInfo) {
	conn := q.readers.link.conn
	q.mu.Lock()
	left, comesAgain := info.NumAckPending-len(q.returns), q.comesAgain
	q.mu.Unlock()
	if !comesAgain || info.NumWaiting > 0 || left <= 0 || left > maxRedeliveries {
		return // there are none, others take them, or there are too many
	}
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	for batch := 1; left > 0; batch = min(2*batch, redeliveryBatch) {
		n := min(left, batch)
		if conn.PublishRequest(pullSubject(info.Stream, info.Name), inbox, fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, n)) != nil {
			return
		}
		for range n {
			msg, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return
			}
			meta, err := msg.Metadata()
			if err != nil {
				return // the server says that there are no more
			}
			q.source.handleLate(q, msg, meta)
			if meta.NumDelivered == 1 {
				left = 0 // what comes again comes first
			}
		}
		left -= n
	}
}

// remove forgets a reader that is closed. Until what it has was returned, the next
// reader of the same consumer waits.
func (r *readers) remove(q *reader, key string, returned chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, q)
	if key != "" {
		r.returning[key] = returned
	}
}

func (r *readers) hasReturned(key string, returned chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.returning[key] == returned {
		delete(r.returning, key)
	}
	close(returned)
}

// awaitAllReturned waits until the readers that were closed have given back what they had.
func (r *readers) awaitAllReturned() {
	if r.link.state() == disconnected {
		return
	}
	ctx, cancel := context.WithTimeout(r.link.ctx, returnTimeout)
	defer cancel()
	r.mu.Lock()
	keys := slices.Collect(maps.Keys(r.returning))
	r.mu.Unlock()
	for _, key := range keys {
		r.awaitReturned(ctx, key)
	}
}

// awaitReturned waits until an earlier reader of this node has given back what it had.
func (r *readers) awaitReturned(ctx context.Context, key string) {
	r.mu.Lock()
	returned := r.returning[key]
	r.mu.Unlock()
	if returned == nil {
		return
	}
	select {
	case <-returned:
	case <-ctx.Done():
	}
}
