package broker

import (
	"fmt"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/fairslots"
)

// dispatchLocked hands what is ready to the consumers, in turn.
func (q *queue) dispatchLocked() {
	taken := 0
	for taken < len(q.ready) {
		sub := q.nextLocked()
		if sub == nil {
			break
		}
		d := q.ready[taken]
		if d.expired() {
			q.dropExpired(d)
			taken++
			continue
		}
		if q.overDelivered(d) {
			go q.deadLetter(d, deadMaxDeliveries, nil)
			taken++
			continue
		}
		switch c := sub.consumer; sub.session.pushDelivery(sub, d) {
		case pushed:
			c.inFlight++
			taken++
		case pushSkipped:
			taken++
		case pushFull:
			c.blocked = true
		case pushClosed:
			c.closed = true
		}
	}
	q.waitNoLongerLocked(q.ready[:taken])
	clear(q.ready[:taken])
	if q.ready = q.ready[taken:]; len(q.ready) == 0 {
		q.ready = nil
	}
}

// nextLocked returns the consumer whose turn it is, or nil when all have enough.
func (q *queue) nextLocked() *subscription {
	for range q.subs {
		q.turn++
		if q.turn >= len(q.subs) {
			q.turn = 0
		}
		if sub := q.subs[q.turn]; sub.consumer.creditLocked() > 0 {
			return sub
		}
	}
	return nil
}

// pullAndUnlock asks the sources for what the consumers have room for, in few
// and large requests. It releases the lock before it talks to the store.
func (q *queue) pullAndUnlock() {
	var pulls [maxFeeds]int
	room := 0
	if q.mayPullLocked() {
		q.capacity, q.returnedCredit = 0, 0
		overUser, isOver := "", false
		for _, sub := range q.subs {
			credit := sub.consumer.creditLocked()
			if user := sub.session.user; credit > 0 && user != overUser {
				overUser, isOver = user, q.isOverLocked(user)
			}
			if credit > 0 && isOver {
				credit = creditOver(sub)
			}
			room += credit
			if !sub.consumer.closed {
				q.capacity += sub.consumer.prefetch
			}
		}
		room -= len(q.ready)
		if q.readyBytesLocked() > maxReadyBytes {
			room = 0
		}
	}
	for i, feed := range q.feeds {
		n := min(room, feed.maxPull) - feed.requested
		if n > 0 && (feed.requested == 0 || n >= min(q.capacity, feed.maxPull)/4) {
			feed.requested += n
			pulls[i] = n
		}
	}
	feeds := q.feeds
	q.mu.Unlock()
	for i, feed := range feeds {
		if pulls[i] > 0 {
			feed.reader.Pull(pulls[i])
		}
	}
}

// isOverLocked reports whether a user has so much of queues in memory that no more is
// pulled for it. The queue is called when there is less.
func (q *queue) isOverLocked(user string) bool {
	b := q.broker.memory.unacked
	if !b.over(user) {
		return false
	}
	b.wait(user, q)
	return true
}

// creditOver is the credit of a consumer whose user has too much: one that holds nothing
// gets one message at a time.
func creditOver(sub *subscription) int {
	if sub.session.holdsNothing() {
		return 1
	}
	return 0
}

// spaceFreed pulls again what the queue had no room for.
func (q *queue) spaceFreed() {
	q.mu.Lock()
	q.returnedCredit = q.capacity // count again
	q.pullAndUnlock()
}

// readyBytesLocked is how much waits for consumers of what a store has.
func (q *queue) readyBytesLocked() (n int) {
	for _, d := range q.ready {
		n += d.bytes
	}
	return n
}

// mayPullLocked reports whether it is worth counting the room of all consumers: a
// source is idle, or a good part of the credit came back since it was last done.
func (q *queue) mayPullLocked() bool {
	for _, feed := range q.feeds {
		if feed.requested == 0 {
			return true
		}
	}
	return q.returnedCredit*4 >= q.capacity
}

// errOverShare is for a sender that has its share of what waits, while others have room.
var errOverShare = fmt.Errorf("%w for this sender", driver.ErrQueueFull)

// mayWaitLocked returns why a message of a sender has no room in a queue that no store has:
// one sender takes about half of it, so that there is room for others.
func (q *queue) mayWaitLocked(sender string) error {
	if len(q.ready) == 0 {
		return nil
	}
	switch fairslots.Share(maxReady, len(q.ready), q.waits[sender]) {
	case fairslots.Full:
		return fmt.Errorf("%w: %d messages wait in it", driver.ErrQueueFull, maxReady)
	case fairslots.OverPart:
		q.broker.CountLimit(limitUserWaitingMessages)
		return errOverShare
	}
	return nil
}

// waitsLocked counts a message that no consumer took at once. What a consumer takes at once
// costs no counting.
func (q *queue) waitsLocked(d *delivery) {
	if q.waits == nil {
		q.waits = make(map[string]int)
	}
	d.waits = true
	q.waits[d.Message.User]++
}

// waitNoLongerLocked takes messages out of the count that leave the queue.
func (q *queue) waitNoLongerLocked(all []*delivery) {
	if len(q.waits) == 0 {
		return
	}
	for _, d := range all {
		if !d.waits {
			continue
		}
		d.waits = false
		if q.waits[d.Message.User]--; q.waits[d.Message.User] <= 0 {
			delete(q.waits, d.Message.User)
		}
	}
}
