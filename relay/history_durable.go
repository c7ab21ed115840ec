package relay

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// durableSource has a reader read a durable subscription.
type durableSource struct {
	store        *historyStore
	history      *history
	subscription driver.DurableSubscription
	trims        atomic.Pointer[trimDetector] // nil until it is known where the subscription is
	lag          durableTrims
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
	c.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	c.InactiveThreshold = s.store.streams.settings.DurableIdle
	return c
}

func (s *durableSource) ensure(ctx context.Context) (stream string, consumer *jetstream.ConsumerInfo, err error) {
	if stream, err = s.store.streams.nameOf(ctx, s.history); err != nil {
		return "", nil, err
	}
	s.store.readers.awaitReturned(ctx, pullSubject(stream, durableName(s.subscription)))
	name, consumer, err := s.store.findDurable(ctx, stream, s.history, s.subscription)
	if err != nil {
		return "", nil, err
	}
	s.trims.Store(nil)
	config := s.config(name)
	if consumer != nil { // where it began does not change
		config.DeliverPolicy, config.OptStartSeq = consumer.Config.DeliverPolicy, consumer.Config.OptStartSeq
	} else if config.OptStartSeq, err = s.next(ctx); err != nil {
		return "", nil, err
	}
	if consumer == nil || !sameConsumer(consumer.Config, config) {
		made, err := s.store.readers.makeConsumer(ctx, stream, config)
		if err != nil && consumer == nil { // another node may have been faster, and begun at another place
			if _, theirs, again := s.store.findDurable(ctx, stream, s.history, s.subscription); again == nil && theirs != nil {
				s.lookForTrims(stream, theirs)
				return stream, theirs, nil
			}
		}
		if err != nil {
			return "", nil, storeError("cannot make the durable subscription "+s.subscription.Name, err)
		}
		consumer = made.CachedInfo()
	}
	s.lookForTrims(stream, consumer)
	return stream, consumer, nil
}

// next is where a subscription begins that is made now. It is a part of what the consumer is:
// where the file is lost that says what was delivered, all since then comes again. Of one that
// begins with new messages, none would come.
func (s *durableSource) next(ctx context.Context) (uint64, error) {
	_, info, err := s.store.streams.info(ctx, s.history)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq + 1, nil
}

// sameConsumer reports whether a consumer is as it should be. To set again what it has
// costs a write, on each server of a cluster.
func sameConsumer(have, want jetstream.ConsumerConfig) bool {
	return slices.Equal(filtersOf(have), filtersOf(want)) && have.AckPolicy == want.AckPolicy && have.AckWait == want.AckWait &&
		have.MaxDeliver == want.MaxDeliver && have.MaxAckPending == want.MaxAckPending && have.InactiveThreshold == want.InactiveThreshold
}

func filtersOf(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// lookForTrims has the subscription notified of what the history dropped since what it had, or
// since it was made.
func (s *durableSource) lookForTrims(stream string, consumer *jetstream.ConsumerInfo) {
	sure := consumer.AckFloor.Stream
	if start := consumer.Config.OptStartSeq; start > 0 {
		sure = max(sure, start-1)
	}
	s.trims.Store(&trimDetector{drops: drops{streams: s.store.streams, history: s.history, stream: stream}, sure: sure})
}

// findDurable returns the name of the consumer, and what it is where it is there: the
// former one where there is one for the same pattern, and none of the present name.
func (s *historyStore) findDurable(ctx context.Context, stream string, h *history, d driver.DurableSubscription) (string, *jetstream.ConsumerInfo, error) {
	present := durableName(d)
	c, err := s.link.js.Consumer(ctx, stream, present)
	if err == nil {
		return present, c.CachedInfo(), nil
	}
	former := "durable-" + safeName(d.FormerName)
	if d.FormerName != "" && errors.Is(err, jetstream.ErrConsumerNotFound) {
		if c, err = s.link.js.Consumer(ctx, stream, former); err == nil {
			if slices.Equal(filtersOf(c.CachedInfo().Config), PatternSubjects(h.prefix, d.Pattern.String())) {
				return former, c.CachedInfo(), nil
			}
		}
	}
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return present, nil, nil
	}
	return "", nil, storeError("cannot find the durable subscription "+d.Name, err)
}

func (s *durableSource) restored() int64 {
	when := s.history.restored.Load()
	if when == nil {
		return 0
	}
	return restoredAt(map[string]string{metadataRestored: *when})
}

func (s *durableSource) forget() { s.history.forget() }

// ended leaves the consumer there, which remembers what is for it.
func (s *durableSource) ended() {}

// handle delivers a message, or acknowledges one that is not for the subscription:
// NATS's patterns are wider.
func (s *durableSource) handle(q *reader, msg *nats.Msg, meta *nats.MsgMetadata) {
	if q.endedByNewer(msg, meta) {
		return
	}
	_, epoch := s.store.streams.epochOf(meta.Stream)
	at := driver.StreamPosition{Epoch: epoch, Seq: meta.Sequence.Stream}
	d := driver.Delivery{Count: int(meta.NumDelivered), Seq: meta.Sequence.Stream, Token: msg.Reply, Redelivered: q.mayBeKnown(meta)}
	if meta.NumDelivered == 1 {
		s.lag.next(s, q, meta, epoch)
	}
	m, ok := decodeStored(s.history.prefix, msg, meta.Timestamp, at.String)
	if !ok || !s.subscription.Pattern.Match(m.Key) || m.ToSession != "" {
		d.Message = &driver.Message{ID: at.String()}
		q.Ack(d, nil)
		q.Pull(1)
		return
	}
	m.Position, m.ID = at, at.String()
	m.Gap = s.lag.takeGap()
	if t := s.trims.Load(); t != nil && at.Seq > t.sure && t.before(s.store.link.ctx, nil, m, 0) {
		m.Gap = true
	}
	d.Message = m
	q.deliver(d)
}

// handleLate gives the message back. Durable subscriptions count no deliveries.
func (s *durableSource) handleLate(q *reader, msg *nats.Msg, meta *nats.MsgMetadata) {
	q.Requeue(driver.Delivery{Seq: meta.Sequence.Stream, Token: msg.Reply})
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
	name, _, err := s.findDurable(ctx, stream, h, d)
	if err != nil {
		return err
	}
	err = s.link.js.DeleteConsumer(ctx, stream, name)
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return storeError("cannot remove the durable subscription "+d.Name, err)
}

// DurableIdle says how long. See [driver.HistoryStore].
func (s *historyStore) DurableIdle() time.Duration { return s.streams.settings.DurableIdle }
