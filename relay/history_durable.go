package relay

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// durableSource has a reader read a durable subscription.
type durableSource struct {
	store        *historyStore
	history      *history
	subscription driver.DurableSubscription
}

// OpenDurable consumes a durable subscription. See [driver.HistoryStore].
func (s *historyStore) OpenDurable(ctx context.Context, d driver.DurableSubscription, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	if err := checkKey(d.Pattern.String()); err != nil {
		return nil, err
	}
	h, err := s.streams.named(d.History)
	if err != nil {
		return nil, err
	}
	return s.readers.openReader(ctx, &durableSource{store: s, history: h, subscription: d}, deliver)
}

func durableName(d driver.DurableSubscription) string { return "durable-" + safeName(d.Name) }

func (s *durableSource) name() string { return s.subscription.Pattern.String() }

func (s *durableSource) idle() bool { return false }

// config is the consumer's. It begins with what comes next, and stays while no node
// uses it.
func (s *durableSource) config(name string) jetstream.ConsumerConfig {
	subjects := PatternSubjects(s.history.prefix, s.subscription.Pattern.String())
	c := s.store.readers.consumerConfig(name, s.subscription.Name)
	c.FilterSubjects = subjects
	c.DeliverPolicy = jetstream.DeliverNewPolicy
	c.InactiveThreshold = s.store.streams.settings.DurableIdle
	return c
}

func (s *durableSource) ensure(ctx context.Context) (stream, consumer string, err error) {
	if stream, err = s.store.streams.nameOf(ctx, s.history); err != nil {
		return "", "", err
	}
	if consumer, err = s.store.findDurable(ctx, stream, s.history, s.subscription); err != nil {
		return "", "", err
	}
	if _, err := s.store.readers.makeConsumer(ctx, stream, s.config(consumer)); err != nil {
		return "", "", storeError("cannot make the durable subscription "+s.subscription.Name, err)
	}
	return stream, consumer, nil
}

// findDurable returns the name of the consumer: the former one where there is one for
// the same pattern, and none of the present name.
func (s *historyStore) findDurable(ctx context.Context, stream string, h *history, d driver.DurableSubscription) (string, error) {
	present := durableName(d)
	if d.FormerName == "" {
		return present, nil
	}
	_, err := s.link.js.Consumer(ctx, stream, present)
	if err == nil {
		return present, nil
	}
	former := "durable-" + safeName(d.FormerName)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		var c jetstream.Consumer
		if c, err = s.link.js.Consumer(ctx, stream, former); err == nil {
			config := c.CachedInfo().Config
			subjects := config.FilterSubjects
			if config.FilterSubject != "" {
				subjects = []string{config.FilterSubject}
			}
			if slices.Equal(subjects, PatternSubjects(h.prefix, d.Pattern.String())) {
				return former, nil
			}
		}
	}
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return present, nil
	}
	return "", storeError("cannot find the durable subscription "+d.Name, err)
}

func (s *durableSource) forget() { s.history.forget() }

// ended leaves the consumer there, which remembers what is for it.
func (s *durableSource) ended() {}

// handle delivers a message, or acknowledges one that is not for the subscription:
// NATS's patterns are wider.
func (s *durableSource) handle(q *reader, msg *nats.Msg, meta *nats.MsgMetadata) {
	_, epoch := s.store.streams.epochOf(meta.Stream)
	at := driver.StreamPosition{Epoch: epoch, Seq: meta.Sequence.Stream}
	d := driver.Delivery{Count: int(meta.NumDelivered), Seq: meta.Sequence.Stream, Token: msg.Reply, Redelivered: q.mayBeKnown(meta)}
	m, ok := decode(s.history.prefix, msg, at.String)
	if !ok || !s.subscription.Pattern.Match(m.Key) || m.ToSession != "" {
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
func (s *historyStore) RemoveDurable(ctx context.Context, d driver.DurableSubscription) error {
	h := s.streams.all[d.History]
	if h == nil {
		return nil
	}
	stream, err := s.streams.nameOf(ctx, h)
	if err != nil {
		return err
	}
	name, err := s.findDurable(ctx, stream, h, d)
	if err != nil {
		return err
	}
	err = s.link.js.DeleteConsumer(ctx, stream, name)
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return storeError("cannot remove the durable subscription "+d.Name, err)
}
