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

// transientQueue lives in memory, while there is a subscription to the queue that it names.
type transientQueue string

func (t transientQueue) key() string { return transientMark + string(t) }

func (t transientQueue) open(q *queue) ([]func(), error) {
	stop, err := q.broker.store.OpenTransient(string(t), func(m *driver.Message) { q.offer(newDelivery(m, 1)) })
	return []func(){stop}, err
}

// requeue returns messages to the front. With the last consumer of this node they go
// to another node, where there is one.
func (t transientQueue) requeue(q *queue, all []*delivery) {
	if q.offerFront(again(all)) {
		return
	}
	for _, d := range all {
		_ = q.broker.store.Offer(d.Message) // at most once is what transient queues promise
	}
}

// again makes the next deliveries of messages that no store holds.
func again(all []*delivery) []*delivery {
	next := make([]*delivery, len(all))
	for i, d := range all {
		next[i] = newDelivery(d.Message, d.Count+1)
	}
	return next
}

func (t transientQueue) maxDeliveries() int { return 0 }
