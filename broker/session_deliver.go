package broker

import (
	"strconv"
	"time"

	"github.com/stompbox/stompbox/broker/trace"
)

// pushResult is what became of a delivery to a session.
type pushResult uint8

const (
	pushed      pushResult = iota
	pushSkipped            // the session has it already, or gave it back meanwhile
	pushFull               // there is no room in the outbox; it calls spaceFreed when there is
	pushClosed             // the session takes no more
)

// pushDelivery queues a queue's message for the session. It is the session's
// from then on, until it is acknowledged or the session ends.
func (s *Session) pushDelivery(sub *subscription, d *delivery) pushResult {
	d.sub, d.untouched, d.extendedAt = sub, false, s.broker.clock.now()
	if d.reader != nil {
		d.chargeTo(s.broker.memory.unacked, s.user)
	}
	s.mu.Lock()
	if s.holdsTooMuchLocked(sub, d) {
		s.mu.Unlock()
		return pushFull
	}
	s.deliveries++
	superseded := sub.unacked.addDelivery(s.deliveries, d)
	s.mu.Unlock()
	if superseded > 0 {
		sub.consumer.queue.uncounted.add(d.Message.ID, superseded)
		// The store gave up on the first delivery while it was out of reach. The
		// client knows the message; its acknowledgement is for this delivery now.
		return pushSkipped
	}
	deliver := s.broker.step("deliver", trace.Consumer, d.Message)
	result := s.outbox.pushDelivery(encodeDelivery(sub, d), d)
	if result == pushed {
		deliver.count("deliveries", 1)
	}
	deliver.end(nil)
	if result == pushed {
		s.broker.counters.delivered.Add(1)
		return pushed
	}
	if !s.releaseDelivery(sub, d.number) {
		return pushSkipped // the session ended meanwhile, and gave it back
	}
	return result
}

// holdsTooMuchLocked reports whether the session holds so much that a delivery has to
// wait. Its consumer is called when there is less. One that holds nothing gets a message
// of any size.
func (s *Session) holdsTooMuchLocked(sub *subscription, d *delivery) bool {
	b := s.broker.memory.unacked
	limit := b.connection()
	if limit == 0 || s.held.bytes == 0 || s.held.bytes+d.bytes <= limit || sub.consumer == nil {
		return false
	}
	b.connectionHits.Add(1)
	s.held.waiters = append(s.held.waiters, sub.consumer)
	return true
}

// holdsNothing reports whether the session has acknowledged all messages of queues.
func (s *Session) holdsNothing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.bytes == 0
}

// wakeHeldLocked has the consumers go on that waited for the session to hold less.
func (s *Session) wakeHeldLocked() {
	if len(s.held.waiters) == 0 || s.held.bytes > s.broker.memory.unacked.connection()/4*3 {
		return
	}
	go wake(s.held.waiters) // the caller may hold what they need
	s.held.waiters = nil
}

// written is called when deliveries were written to the connection: those of
// auto subscriptions are acknowledged with that.
func (s *Session) written(deliveries []*delivery) {
	for i := 0; i < len(deliveries); {
		sub, n := deliveries[i].sub, 0
		for ; i < len(deliveries) && deliveries[i].sub == sub; i++ {
			d := deliveries[i]
			if sub == nil || sub.ack != ackAuto || !s.releaseDelivery(sub, d.number) {
				continue // the session has ended, and the message went back
			}
			n++
			d.settle()
			if d.reader != nil {
				d.reader.Ack(d.Delivery, nil)
			}
		}
		if n > 0 {
			s.broker.counters.acked.Add(int64(n))
			sub.consumer.queue.returnCredit(sub.consumer, n)
		}
	}
}

// releaseDelivery takes a delivery from those that the session holds, and reports
// whether it was there.
func (s *Session) releaseDelivery(sub *subscription, number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := sub.unacked.take(number)
	s.wakeHeldLocked()
	return ok
}

// dueForExtension returns what the subscription holds since before now-since, and
// notes that it is extended now.
func (s *Session) dueForExtension(sub *subscription, now, since int64) []*delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var held []*delivery
	for _, open := range sub.unacked.open {
		d := open.delivery
		if d.reader != nil && now-d.extendedAt >= since {
			d.extendedAt = now
			held = append(held, d)
		}
	}
	return held
}

// detach ends a subscription for good.
func (s *Session) detach(sub *subscription) {
	s.subscriptionBytes.sub(subscriptionBytes(sub))
	if sub.consumer == nil {
		if r := sub.replay; r != nil && r.cancel != nil {
			r.cancel()
		}
		s.broker.router.remove(sub)
		if sub.isReply {
			s.broker.pendingRequests.forget(sub.pattern.String())
		}
		s.broker.presence.left(sub)
		if sub.ack != ackAuto {
			s.mu.Lock()
			sub.unacked.takeAll()
			s.mu.Unlock()
		}
		return
	}
	s.mu.Lock()
	held := sub.unacked.takeAll()
	s.wakeHeldLocked()
	s.mu.Unlock()
	sub.consumer.queue.noteUntouched(held)
	sub.consumer.queue.remove([]*subscription{sub}, held)
}

// detachAll lets go of subscriptions of an ending session. What several of them held of
// one queue goes back together, or it would come again in the order in which they end.
func (s *Session) detachAll(all []*subscription) {
	consumers := make(map[*queue][]*subscription)
	for _, sub := range all {
		if c := sub.consumer; c != nil {
			c.queue.stop(c) // none of them gets what another gives back
			consumers[c.queue] = append(consumers[c.queue], sub)
		}
	}
	for _, sub := range all {
		if sub.consumer == nil {
			s.detach(sub)
		}
	}
	for q, subs := range consumers {
		var held []*delivery
		s.mu.Lock()
		for _, sub := range subs {
			held = append(held, sub.unacked.takeAll()...)
		}
		s.mu.Unlock()
		for _, sub := range subs {
			s.subscriptionBytes.sub(subscriptionBytes(sub))
		}
		q.noteUntouched(held)
		q.remove(subs, held)
	}
}

// expired reports whether the message's time is over.
func (d *delivery) expired() bool {
	value, ok := d.Message.Headers.Lookup(HeaderExpires)
	if !ok {
		return false
	}
	at, err := strconv.ParseInt(value, 10, 64)
	return err == nil && at > 0 && at <= time.Now().UnixMilli()
}
