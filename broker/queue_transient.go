package broker

import "github.com/stompbox/stompbox/broker/driver"

// sendTransient hands a message of a transient queue to a consumer of this
// node, or else to one of another. Where there is none it is dropped, as nobody
// has the queue then.
func (b *Broker) sendTransient(m *driver.Message) error {
	q := b.queues.findTransient(m.Key)
	if q != nil && q.hasConsumers() {
		if !q.offer(newDelivery(m, 1)) {
			return b.stored(m, driver.ErrQueueFull, nil)
		}
		return nil
	}
	if err := b.store.Offer(m); err != nil {
		return storeError("destination \""+m.Key+"\"", err)
	}
	return nil
}

// requeueTransient returns a message to the front of a transient queue. With the last
// consumer of this node it goes to another node, where there is one.
func (q *queue) requeueTransient(d *delivery) {
	if q.offerFront(d) {
		return
	}
	_ = q.broker.store.Offer(d.Message) // at most once is what transient queues promise
}
