package broker

import (
	"errors"
	"strconv"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// The reasons that a dead letter's headers give.
const (
	deadMaxDeliveries = "max-deliveries"
	deadRejected      = "rejected" // as RabbitMQ calls it
)

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
// does it again, and the store drops the second copy. Where done is not nil, it is called
// once the store has confirmed both.
func (q *queue) deadLetter(d *delivery, reason string, done func(error)) {
	d.settle()
	b, m := q.broker, *d.Message
	m.Dead = &driver.DeadLetter{Origin: q.name, Reason: reason, Count: d.Count}
	m.Key = destination.DeadLetterPrefix + strings.TrimPrefix(q.name, "/queue/")
	m.Destination = m.Key
	o := driver.StoreOptions{Queue: b.settings().queues.policy(m.Key).options(), DedupID: deadID(d), Internal: true}
	b.background.Add(1)
	b.store.Store(&m, o, func(err error) {
		defer b.background.Done()
		if err != nil {
			b.log.Error("a message could not be moved to the dead letters; it stays in its queue",
				"destination", q.name, "message", m.ID, "reason", reason, "error", err)
			d.reader.Requeue(d.Delivery)
			if done != nil {
				done(err)
			}
			return
		}
		d.reader.Ack(d.Delivery, done)
		q.uncounted.forget(m.ID)
		b.counters.dead.Add(1)
		b.log.Warn("a message moved to the dead letters", "destination", q.name, "to", m.Key, "message", m.ID, "deliveries", d.Count, "reason", reason)
	})
}

// deadID is what the dead letters know a message by. Its id alone does not do: a message that was
// moved back keeps it, and may die again. Queues in memory begin again with ids and places after a
// restart, at another time.
func deadID(d *delivery) string {
	return "dead " + d.Message.ID + " " + strconv.FormatUint(d.Seq, 36) + " " + strconv.FormatInt(d.Message.Timestamp, 36)
}

// rejecter is a source with somewhere for what a client refuses for good.
type rejecter interface {
	// reject takes messages in the order of their queue. They do not come again. Where done is
	// not nil, it is called for each once that is confirmed.
	reject(q *queue, all []*delivery, done func(error))
}

// rejecter returns what takes the messages that the client refuses for good, or why nothing does.
func (sub *subscription) rejecter() (rejecter, error) {
	why := "a topic without a durable subscription"
	if sub.consumer != nil {
		switch source := sub.consumer.queue.source.(type) {
		case *storedQueue:
			if !source.holdsDead() {
				return source, nil
			}
			why = "a queue of dead letters"
		case rejecter:
			return source, nil
		default:
			why = "a transient queue"
		}
	}
	return nil, errorf(CodeBadHeader, "%s:false is not possible on %q: %s has no dead letters; ACK removes the message", headerRequeue, sub.destination, why)
}

// rejectError is what a client learns whose message could not be moved to the dead letters.
func rejectError(err error) *Error {
	code := CodeUnavailable
	if errors.Is(err, driver.ErrQueueFull) {
		code = CodeQueueFull
	}
	return &Error{Code: code, Message: "the move to the dead letters could not be confirmed; the message may come again", Cause: err, retryAfter: retryAfter}
}

// dropExpired removes an expired message.
func (q *queue) dropExpired(d *delivery) {
	q.broker.counters.expired.Add(1)
	d.settle()
	if d.reader != nil {
		d.reader.Ack(d.Delivery, nil)
	}
}
