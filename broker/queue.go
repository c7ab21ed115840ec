package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// queue hands the messages of one queue to its subscriptions on this node, in
// fair turn. It pulls no more than they have credit for, so that the other nodes'
// consumers get their share.
type queue struct {
	broker *Broker
	name   string
	source queueSource
	refs   int    // under the lock of queues
	owner  string // the user whose it counts as

	opening sync.Mutex // held while the source is opened or closed; guards closers
	closers []func()   // nil: the source is not open

	uncounted uncounted // deliveries that no client had

	mu             sync.Mutex // guards the following, and what changes in consumers
	feeds          []*feed
	subs           []*subscription
	turn           int // whose turn it is in subs
	ready          []*delivery
	waits          map[string]int    // how many of ready are of a sender, where no store has them
	capacity       int               // the sum of all prefetches, as of the last pull
	returnedCredit int               // credit given back since then
	returned       []<-chan struct{} // what the readers that were closed last had
}

// feed is a reader of the store that a queue pulls from.
type feed struct {
	reader    driver.QueueReader
	index     int // in feeds of the queue, where it is open
	maxPull   int // the largest pull under way
	requested int // pulled and not here yet, under the queue's lock
}

const (
	// maxFeeds is how many feeds a queue has at the most.
	maxFeeds = 3
	// maxPull bounds one pull; maxMemoryPull what is pulled ahead from memory, and maxFormerPull
	// what is from where the queue was before.
	maxPull       = 2048
	maxMemoryPull = 32
	maxFormerPull = 256
	// maxReady bounds what waits in a transient queue, or for app servers. About half of it
	// may be of one sender.
	maxReady = 10000
	// maxReadyBytes is how much of a stored queue may wait for its consumers before no
	// more is pulled.
	maxReadyBytes = 4 << 20
	// openTimeout bounds how long a SUBSCRIBE waits for the store.
	openTimeout = 10 * time.Second
)

// consumer is the part of a subscription that only queues have. What changes is
// under the queue's lock.
type consumer struct {
	queue    *queue
	source   queueSource // of its queue, where it is the first
	prefetch int
	inFlight int  // messages held by the client, or on their way to it
	blocked  bool // its outbox was full
	pauses   int  // while positive it takes nothing: see takeOver
	closed   bool // takes no more: UNSUBSCRIBE, or its session is ending
}

// creditLocked is how many messages the consumer would take now.
func (c *consumer) creditLocked() int {
	if c.blocked || c.closed || c.pauses > 0 {
		return 0
	}
	return max(c.prefetch-c.inFlight, 0)
}

// join gives the queue one more consumer, and connects it to its store with the
// first.
func (q *queue) join(sub *subscription) error {
	q.opening.Lock()
	defer q.opening.Unlock()
	if err := q.openLocked(); err != nil {
		return err
	}
	q.mu.Lock()
	q.subs = append(q.subs, sub)
	q.returnedCredit = q.capacity // count again
	q.dispatchLocked()
	q.pullAndUnlock()
	return nil
}

// openLocked connects the queue to its source, once. It needs opening.
func (q *queue) openLocked() error {
	if q.closers != nil {
		return nil
	}
	closers, err := q.source.open(q)
	if err == nil {
		q.closers = closers
	}
	return err
}

// feedFrom has the queue pull from feeds, until it is closed.
func (q *queue) feedFrom(feeds ...*feed) []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.feeds = feeds
	for i, f := range feeds {
		f.index = i
	}
	return []func(){}
}

// held counts the messages that were taken from the store for consumers.
func (q *queue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.ready)
	for _, sub := range q.subs {
		n += sub.consumer.inFlight
	}
	return n
}

// close lets go of the source, and gives back held and what no subscription took, in
// their order, unless a consumer joined meanwhile. The next one that joins opens it again.
func (q *queue) close(held []*delivery) {
	q.opening.Lock()
	defer q.opening.Unlock()
	q.mu.Lock()
	if q.activeLocked() {
		q.mu.Unlock()
		q.requeue(held)
		return
	}
	if q.closers == nil && slices.ContainsFunc(held, func(d *delivery) bool { return d.reader != nil }) {
		// It was closed before these came back, after an UNSUBSCRIBE, and has given back what is
		// younger. A reader takes that again, to give all back in their order.
		q.mu.Unlock()
		if q.openLocked() != nil {
			q.requeue(held)
			return
		}
		q.mu.Lock()
	}
	ready, feeds := q.ready, q.feeds
	q.ready, q.feeds, q.waits = nil, nil, nil
	q.mu.Unlock()
	q.notHandedOut(ready...)
	all := append(held, ready...)
	var returned []<-chan struct{}
	for _, feed := range feeds {
		var theirs []driver.Delivery
		all = slices.DeleteFunc(all, func(d *delivery) bool {
			// It may have come of an earlier reader of the same, before an UNSUBSCRIBE.
			if d.reader == nil || d.feed != feed.index || q.exhausted(d) {
				return false
			}
			d.settle()
			theirs = append(theirs, d.Delivery)
			return true
		})
		returned = append(returned, feed.reader.Close(theirs))
	}
	q.mu.Lock()
	q.returned = returned
	q.mu.Unlock()
	for _, closeSource := range q.closers {
		closeSource()
	}
	q.closers = nil
	q.requeue(all)
}

// awaitReturned returns when the store has again what the queue had as it was closed.
func (q *queue) awaitReturned(ctx context.Context) {
	q.mu.Lock()
	all := q.returned
	q.mu.Unlock()
	for _, returned := range all {
		select {
		case <-returned:
		case <-ctx.Done():
			return
		}
	}
}

// requeue returns messages to where they come from, so that they come again in its
// order.
func (q *queue) requeue(all []*delivery) {
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, bySeq)
	q.source.requeue(q, all)
}

func bySeq(a, b *delivery) int { return cmp.Compare(a.Seq, b.Seq) }

// received takes a message that a source pulled.
func (q *queue) received(from *feed, lent driver.Delivery) {
	q.mu.Lock()
	if lent.Message == nil {
		from.requested = max(from.requested-lent.Short, 0)
		q.pullAndUnlock()
		return
	}
	d := &delivery{Delivery: lent, reader: from.reader, feed: from.index, extendedAt: q.broker.clock.now()}
	if from.requested > 0 {
		from.requested--
	}
	if q.feeds == nil {
		q.mu.Unlock()
		q.notHandedOut(d)
		d.reader.Requeue(d.Delivery) // the last one left a moment ago
		return
	}
	// Where the last one is leaving, it goes back with what that one held, in their order.
	if len(q.subs) > 0 {
		d.chargeTo(q.broker.memory.unacked, q.subs[0].session.user)
	}
	q.insertLocked(d)
	q.dispatchLocked()
	q.pullAndUnlock()
}

// insertLocked puts a message behind those that were in its store before it: one that
// comes again is older than what waits.
func (q *queue) insertLocked(d *delivery) {
	at := len(q.ready)
	for i := at - 1; i >= 0; i-- {
		if other := q.ready[i]; other.reader != d.reader {
			continue
		} else if other.Seq < d.Seq {
			break
		}
		at = i
	}
	q.ready = slices.Insert(q.ready, at, d)
}

// offer takes a message of a transient queue, or returns why there is no room.
func (q *queue) offer(d *delivery) error {
	if err := d.charge(q.broker.memory.waiting); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.mayWaitLocked(d.Message.User); err != nil {
		d.settle()
		return err
	}
	q.ready = append(q.ready, d)
	q.dispatchLocked()
	if n := len(q.ready); n > 0 && q.ready[n-1] == d {
		q.waitsLocked(d)
	}
	return nil
}

// takeBack puts messages of the store among those that wait, in their order, and reports
// whether there is a consumer to take them.
func (q *queue) takeBack(all []*delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.activeLocked() {
		return false
	}
	for _, d := range all {
		d.again++
		q.insertLocked(d)
	}
	q.dispatchLocked()
	return true
}

// offerFront puts messages in front of the others, and reports whether there is a
// consumer to take them.
func (q *queue) offerFront(all []*delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.activeLocked() {
		return false
	}
	q.ready = append(all, q.ready...)
	q.dispatchLocked()
	return true
}

// returnCredit notes that a client holds n messages less.
func (q *queue) returnCredit(c *consumer, n int) {
	q.mu.Lock()
	c.inFlight -= n
	q.returnedCredit += n
	q.dispatchLocked()
	q.pullAndUnlock()
}

// spaceFreed notes that the consumer's outbox has room again.
func (c *consumer) spaceFreed() {
	q := c.queue
	q.mu.Lock()
	c.blocked = false
	q.dispatchLocked()
	q.pullAndUnlock()
}

// activeLocked reports whether a consumer takes messages.
func (q *queue) activeLocked() bool {
	for _, sub := range q.subs {
		if !sub.consumer.closed {
			return true
		}
	}
	return false
}

// consumers counts who takes messages.
func (q *queue) consumers() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.subs)
}

// hasConsumers reports whether a consumer takes messages.
func (q *queue) hasConsumers() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.activeLocked()
}

// retire has the consumer get no more. It keeps what it holds.
func (q *queue) retire(c *consumer) {
	q.mu.Lock()
	c.closed = true
	active := q.activeLocked()
	q.mu.Unlock()
	if !active {
		q.close(nil)
	}
}

// stop has the consumer get no more.
func (q *queue) stop(c *consumer) {
	q.mu.Lock()
	c.closed = true
	q.mu.Unlock()
}

// giveBack takes messages back. Without an active consumer the queue is closed first,
// or this node would get them all again.
func (q *queue) giveBack(held []*delivery, active bool) {
	if active {
		q.requeue(held)
	} else {
		q.close(held)
	}
}

// remove takes consumers out, and returns to the queue what they held. The last one
// closes the queue.
func (q *queue) remove(gone []*subscription, held []*delivery) {
	q.mu.Lock()
	q.subs = slices.DeleteFunc(q.subs, func(sub *subscription) bool { return slices.Contains(gone, sub) })
	active := q.activeLocked()
	q.mu.Unlock()
	q.giveBack(held, active)
	q.mu.Lock()
	q.dispatchLocked()
	q.pullAndUnlock()
	for range gone {
		q.broker.queues.release(q)
	}
}

// extend has the store wait longer for all messages that clients hold, or that wait for a
// client, since before now-since.
func (q *queue) extend(now, since int64) {
	q.mu.Lock()
	subs := append([]*subscription(nil), q.subs...)
	var waiting []*delivery
	for _, d := range q.ready {
		if d.reader != nil && now-d.extendedAt >= since {
			d.extendedAt = now
			waiting = append(waiting, d)
		}
	}
	q.mu.Unlock()
	for _, d := range waiting {
		d.reader.Extend(d.Delivery)
	}
	for _, sub := range subs {
		for _, d := range sub.session.dueForExtension(sub, now, since) {
			d.reader.Extend(d.Delivery)
		}
	}
}
