package broker

import (
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// deadMaxDeliveries is the reason that a dead letter's headers give.
const deadMaxDeliveries = "max-deliveries"

// exhausted reports whether the message was delivered to clients as often as it may be.
func (q *queue) exhausted(d *delivery) bool {
	limit := q.source.maxDeliveries()
	return limit > 0 && d.Count >= limit && d.Count-q.uncounted.of(d.Message.ID) >= limit
}

// overDelivered reports whether the message was delivered more often than that, as
// happens when nodes die that hold it. This node may not know which of the deliveries
// count, as after a start of its own. So it believes that the first one that it sees
// is the last that the message may have.
func (q *queue) overDelivered(d *delivery) bool {
	limit := q.source.maxDeliveries()
	if limit == 0 || d.Count <= limit {
		return false
	}
	known := q.uncounted.of(d.Message.ID)
	if known == 0 {
		q.uncounted.add(d.Message.ID, d.Count-limit)
		return false
	}
	return d.Count-known > limit
}

// deadLetter moves a message to the dead letters of its queue: it is stored there
// first, and only then removed. It does not wait. A node that dies in between
// does it again, and the store drops the second copy.
func (q *queue) deadLetter(d *delivery) {
	d.settle()
	b, m := q.broker, *d.Message
	m.Dead = &driver.DeadLetter{Origin: q.name, Reason: deadMaxDeliveries, Count: d.Count}
	m.Key = destination.DeadLetterPrefix + strings.TrimPrefix(q.name, "/queue/")
	m.Destination = m.Key
	o := driver.StoreOptions{Queue: b.settings().queues.policy(m.Key).options(), DedupID: "dead " + m.ID, Internal: true}
	b.background.Add(1)
	b.store.Store(&m, o, func(err error) {
		defer b.background.Done()
		if err != nil {
			b.log.Error("a message that was delivered too often could not be moved to the dead letters; it stays in its queue",
				"destination", q.name, "message", m.ID, "error", err)
			d.reader.Requeue(d.Delivery)
			return
		}
		d.reader.Ack(d.Delivery, nil)
		q.uncounted.forget(m.ID)
		b.counters.dead.Add(1)
		b.log.Warn("a message moved to the dead letters", "destination", q.name, "to", m.Key, "message", m.ID, "deliveries", d.Count, "reason", deadMaxDeliveries)
	})
}

// dropExpired removes an expired message.
func (q *queue) dropExpired(d *delivery) {
	q.broker.counters.expired.Add(1)
	d.settle()
	if d.reader != nil {
		d.reader.Ack(d.Delivery, nil)
	}
}
