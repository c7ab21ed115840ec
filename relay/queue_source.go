package relay

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// queueSource has a reader read a queue.
type queueSource struct {
	store   *queueStore
	place   place
	queue   string
	options driver.QueueOptions
}

// OpenQueue begins to consume a queue. See [driver.QueueStore].
func (s *queueStore) OpenQueue(ctx context.Context, queue string, o driver.QueueOptions, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	if err := checkKey(queue); err != nil {
		return nil, err
	}
	return s.readers.openReader(ctx, &queueSource{store: s, place: queuePlace(s.link.prefix, queue, o), queue: queue, options: o}, deliver)
}

func (s *queueSource) name() string { return s.queue }

func (s *queueSource) idle() bool { return s.options.Memory && !s.store.memory.used.Load() }

func (s *queueSource) config() jetstream.ConsumerConfig {
	return s.store.readers.consumerConfig(safeName(s.queue), s.queue, s.place.subject)
}

func (s *queueSource) ensure(ctx context.Context) (stream string, consumer *jetstream.ConsumerInfo, err error) {
	if err := s.store.streams.ensure(ctx, s.place, s.options); err != nil {
		return "", nil, err
	}
	made, err := s.store.readers.makeConsumer(ctx, s.place.stream, s.config())
	if err != nil {
		return "", nil, storeError("cannot make the consumer of "+s.queue, err)
	}
	return s.place.stream, made.CachedInfo(), nil
}

func (s *queueSource) restored() int64 { return s.store.streams.restored(s.place) }

func (s *queueSource) forget() { s.store.streams.forget() }

func (s *queueSource) ended() {
	s.store.readers.deleteIdleConsumer(s.place.stream, safeName(s.queue))
}

func (s *queueSource) handle(q *reader, msg *nats.Msg, meta *nats.MsgMetadata) {
	if q.endedByNewer(msg, meta) {
		return
	}
	m, ok := decodeStored(s.place.prefix, msg, meta.Timestamp, func() string {
		return queueMessageID(s.place.stream, meta.Sequence.Stream)
	})
	if !ok {
		return
	}
	m.Key = s.queue
	q.deliver(driver.Delivery{
		Message: m, Count: int(meta.NumDelivered), Seq: meta.Sequence.Stream, Token: tokenOf(msg, meta),
		Redelivered: q.mayBeKnown(meta),
	})
}

// handleLate has the queue know of the delivery, which does not count: no client has it.
func (s *queueSource) handleLate(q *reader, msg *nats.Msg, meta *nats.MsgMetadata) {
	s.handle(q, msg, meta)
}

// tokenOf is the reply subject of a message, and behind it what the journal of dedup ids
// needs of one that has such an id.
func tokenOf(msg *nats.Msg, meta *nats.MsgMetadata) string {
	id := msg.Header[headerMsgID]
	if len(id) == 0 {
		return msg.Reply
	}
	return msg.Reply + tokenSeparator + strconv.FormatInt(meta.Timestamp.UnixMilli(), 10) + tokenSeparator + meta.Stream + tokenSeparator + id[0]
}
