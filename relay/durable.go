package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// OpenDurable consumes a durable subscription. See [driver.HistoryStore].
func (r *Relay) OpenDurable(ctx context.Context, d driver.DurableSubscription, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	if err := checkKey(d.Pattern.String()); err != nil {
		return nil, err
	}
	h, err := r.historyNamed(d.History)
	if err != nil {
		return nil, err
	}
	stream, err := r.streamOf(ctx, h)
	if err != nil {
		return nil, err
	}
	q := &reader{relay: r, place: place{stream: stream, prefix: h.prefix}, queue: d.Pattern.String(), durable: &d, consumer: durableName(d), deliver: deliver, heard: time.Now()}
	if err := q.ensure(ctx); err != nil {
		return nil, err
	}
	return q, q.begin()
}

func durableName(d driver.DurableSubscription) string { return "durable-" + safeName(d.Name) }

// durableConfig is the consumer's of a durable subscription. It begins with what
// comes next, and stays while nobody uses it.
func (q *reader) durableConfig() jetstream.ConsumerConfig {
	c := q.config()
	c.FilterSubject, c.FilterSubjects = "", PatternSubjects(q.place.prefix, q.durable.Pattern.String())
	c.DeliverPolicy = jetstream.DeliverNewPolicy
	c.InactiveThreshold = q.relay.settings.DurableIdle
	c.Description = q.durable.Name
	return c
}

// ensureDurable makes the stream and the consumer where they are missing.
func (q *reader) ensureDurable(ctx context.Context) error {
	r := q.relay
	stream, err := r.streamOf(ctx, r.histories[q.durable.History])
	if err != nil {
		return err
	}
	consumer, err := r.findDurable(ctx, stream, *q.durable)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.consumer = consumer
	q.place.stream = stream
	q.next = nextSubject(stream, q.consumer)
	q.mu.Unlock()
	if _, err := r.makeConsumer(ctx, stream, q.durableConfig()); err != nil {
		return storeError("cannot make the durable subscription "+q.durable.Name, err)
	}
	return nil
}

// findDurable returns the name of the consumer: the former one where there is one for
// the same pattern, and none of the present name.
func (r *Relay) findDurable(ctx context.Context, stream string, d driver.DurableSubscription) (string, error) {
	present := durableName(d)
	if d.FormerName == "" {
		return present, nil
	}
	_, err := r.js.Consumer(ctx, stream, present)
	if err == nil {
		return present, nil
	}
	former := "durable-" + safeName(d.FormerName)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		var c jetstream.Consumer
		if c, err = r.js.Consumer(ctx, stream, former); err == nil {
			config := c.CachedInfo().Config
			subjects := config.FilterSubjects
			if config.FilterSubject != "" {
				subjects = []string{config.FilterSubject}
			}
			if slices.Equal(subjects, PatternSubjects(r.histories[d.History].prefix, d.Pattern.String())) {
				return former, nil
			}
		}
	}
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return present, nil
	}
	return "", storeError("cannot find the durable subscription "+d.Name, err)
}

// remembered makes the delivery of a message of a durable subscription, or
// acknowledges one that is not for it: NATS's patterns are wider.
func (q *reader) remembered(msg *nats.Msg, meta *nats.MsgMetadata) {
	_, epoch := q.relay.epochOf(meta.Stream)
	at := driver.StreamPosition{Epoch: epoch, Seq: meta.Sequence.Stream}
	d := driver.Delivery{Count: int(meta.NumDelivered), Token: msg.Reply}
	m, ok := decode(q.place.prefix, msg, at.String)
	if !ok || !q.durable.Pattern.Match(m.Key) || m.ToSession != "" {
		d.Message = &driver.Message{ID: at.String()}
		q.Ack(d, nil)
		q.Pull(1)
		return
	}
	m.Position, m.ID = at, at.String()
	d.Message = m
	q.deliver(d)
}

// RemoveDurable forgets a durable subscription. See [driver.HistoryStore].
func (r *Relay) RemoveDurable(ctx context.Context, d driver.DurableSubscription) error {
	h := r.histories[d.History]
	if h == nil {
		return nil
	}
	stream, err := r.streamOf(ctx, h)
	if err != nil {
		return err
	}
	name, err := r.findDurable(ctx, stream, d)
	if err != nil {
		return err
	}
	err = r.js.DeleteConsumer(ctx, stream, name)
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return storeError("cannot remove the durable subscription "+d.Name, err)
}
