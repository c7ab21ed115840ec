package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// queueAdmin is a [driver.QueueAdmin] over the streams of queues.
type queueAdmin struct{ store *queueStore }

// ListQueues returns all queues that have messages or consumers, by name.
func (a queueAdmin) ListQueues(ctx context.Context) ([]driver.QueueInfo, error) {
	byName := make(map[string]*driver.QueueInfo)
	err := a.eachStream(ctx, func(s jetstream.Stream, info *jetstream.StreamInfo, prefix string) error {
		return a.collect(ctx, s, info, prefix, byName)
	})
	if err != nil {
		return nil, err
	}
	all := make([]driver.QueueInfo, 0, len(byName))
	for _, q := range byName {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b driver.QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Queue returns one queue, or an error that wraps [driver.ErrNoQueue].
func (a queueAdmin) Queue(ctx context.Context, name string) (driver.QueueInfo, error) {
	all, err := a.ListQueues(ctx)
	if err != nil {
		return driver.QueueInfo{}, err
	}
	for _, q := range all {
		if q.Name == name {
			return q, nil
		}
	}
	return driver.QueueInfo{}, fmt.Errorf("%w: %s", driver.ErrNoQueue, name)
}

// eachStream visits the streams that queues are in, with the counts of their subjects.
func (a queueAdmin) eachStream(ctx context.Context, visit func(s jetstream.Stream, info *jetstream.StreamInfo, prefix string) error) error {
	for _, prefix := range queuePrefixes(a.store.link.prefix) {
		names, err := a.store.link.queueStreams(ctx, prefix)
		if err != nil {
			return storeError("cannot list queues", err)
		}
		for _, name := range names {
			s, err := a.store.link.js.Stream(ctx, name)
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				continue
			}
			if err != nil {
				return storeError("cannot look at "+name, err)
			}
			info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
			if err != nil {
				return storeError("cannot look at "+name, err)
			}
			if err := visit(s, info, prefix); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a queueAdmin) collect(ctx context.Context, s jetstream.Stream, info *jetstream.StreamInfo, prefix string, byName map[string]*driver.QueueInfo) error {
	named := func(subject string) *driver.QueueInfo {
		name, ok := Destination(prefix, subject)
		if !ok {
			return new(driver.QueueInfo)
		}
		if byName[name] == nil {
			byName[name] = &driver.QueueInfo{Name: name}
		}
		return byName[name]
	}
	for subject, n := range info.State.Subjects {
		q := named(subject)
		q.Messages += n
		if info.Config.Storage == jetstream.MemoryStorage {
			q.InMemory += n
		}
	}
	if len(info.Config.Subjects) == 1 && prefix == boundedPrefix(a.store.link.prefix) {
		q := named(info.Config.Subjects[0])
		q.Bytes, q.MaxMessages, q.MaxBytes = info.State.Bytes, max(info.Config.MaxMsgs, 0), max(info.Config.MaxBytes, 0)
	}
	consumers := s.ListConsumers(ctx)
	for _, consumer := range drain(consumers.Info()) {
		if consumer.NumWaiting == 0 && consumer.NumPending == 0 && consumer.NumAckPending == 0 {
			continue // left over from a consumer that is gone
		}
		q := named(consumer.Config.FilterSubject)
		q.Held += consumer.NumAckPending
		q.Redelivered += consumer.NumRedelivered
	}
	if err := consumers.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return storeError("cannot list the consumers of "+info.Config.Name, err)
	}
	return nil
}

// places returns where messages of a queue are.
func (a queueAdmin) places(ctx context.Context, queue string) ([]place, error) {
	if err := checkKey(queue); err != nil {
		return nil, err
	}
	var found []place
	for _, p := range []place{queuePlace(a.store.link.prefix, queue, driver.QueueOptions{}), queuePlace(a.store.link.prefix, queue, driver.QueueOptions{Memory: true}), queuePlace(a.store.link.prefix, queue, driver.QueueOptions{MaxMessages: 1})} {
		_, err := a.store.link.js.Stream(ctx, p.stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, storeError("cannot look at "+p.stream, err)
		}
		found = append(found, p)
	}
	return found, nil
}

// Oldest is when the oldest message of a queue was stored. See [driver.QueueAdmin].
func (a queueAdmin) Oldest(ctx context.Context, queue string) (oldest time.Time, err error) {
	places, err := a.places(ctx, queue)
	if err != nil {
		return time.Time{}, err
	}
	for _, p := range places {
		s, err := a.store.link.js.Stream(ctx, p.stream)
		if err != nil {
			return time.Time{}, storeError("cannot look at "+p.stream, err)
		}
		first, err := s.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(p.subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return time.Time{}, storeError("cannot look at "+queue, err)
		}
		if oldest.IsZero() || first.Time.Before(oldest) {
			oldest = first.Time
		}
	}
	return oldest, nil
}

// PurgeQueue removes all messages of a queue, also those that consumers hold,
// and returns how many there were.
func (a queueAdmin) PurgeQueue(ctx context.Context, queue string) (uint64, error) {
	before, err := a.Queue(ctx, queue)
	if err != nil {
		return 0, err
	}
	places, err := a.places(ctx, queue)
	if err != nil {
		return 0, err
	}
	for _, p := range places {
		s, err := a.store.link.js.Stream(ctx, p.stream)
		if err == nil {
			err = s.Purge(ctx, jetstream.WithPurgeSubject(p.subject))
		}
		if err != nil {
			return 0, storeError("cannot purge "+queue, err)
		}
	}
	return before.Messages, nil
}

// moveWait is how long a move waits for messages that are on their way.
const moveWait = 2 * time.Second

// MoveQueue moves up to limit messages that no consumer holds to where target says,
// and returns how many it moved. Each is stored there before it is removed here; a
// move that breaks off and is repeated stores none twice within the dedup window.
// A target of "" leaves the message where it is.
func (a queueAdmin) MoveQueue(ctx context.Context, queue string, limit int, target func(*driver.Message) (string, driver.QueueOptions)) (moved int, err error) {
	movable := false
	_, err = a.scan(ctx, queue, "", limit, func(_ jetstream.Stream, _ place, _ uint64, m *driver.Message) (bool, error) {
		to, _ := target(m)
		movable = movable || to != "" && to != queue
		return !movable, nil
	})
	if err != nil || !movable {
		return 0, err // what is taken and put back counts as delivered
	}
	places, err := a.places(ctx, queue)
	if err != nil {
		return 0, err
	}
	for _, p := range places {
		n, err := a.moveFrom(ctx, queue, p, limit-moved, target)
		moved += n
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

func (a queueAdmin) moveFrom(ctx context.Context, queue string, p place, limit int, target func(*driver.Message) (string, driver.QueueOptions)) (moved int, err error) {
	if limit <= 0 {
		return 0, nil
	}
	source := &queueSource{store: a.store, place: p, queue: queue}
	consumer, err := a.store.readers.makeConsumer(ctx, p.stream, source.config())
	if err != nil {
		return 0, storeError("cannot consume "+queue, err)
	}
	batch, err := consumer.Fetch(min(limit, 500), jetstream.FetchMaxWait(moveWait))
	if err != nil {
		return 0, storeError("cannot consume "+queue, err)
	}
	var stay []jetstream.Msg
	defer func() {
		for _, msg := range stay { // not before: each would come again at once, and count as delivered
			_ = msg.Nak()
		}
	}()
	done := make(chan error, limit)
	under := 0
	for msg := range batch.Messages() {
		to, copied, ok := a.copyOf(queue, p, msg, target)
		if !ok {
			stay = append(stay, msg)
			continue
		}
		if err := a.store.streams.ensure(ctx, to, copied.options); err != nil {
			_ = msg.Nak()
			return moved, err
		}
		under++
		a.store.acks.publish(to.stream, copied.msg, func(err error) {
			if err != nil {
				_ = msg.Nak()
				done <- err
				return
			}
			a.remove(msg, func(err error) { done <- err })
		})
	}
	for range under {
		failed := <-done
		if failed == nil {
			moved++
		}
		err = errors.Join(err, failed)
	}
	if err == nil && batch.Error() != nil && !errors.Is(batch.Error(), nats.ErrTimeout) {
		err = storeError("cannot consume "+queue, batch.Error())
	}
	source.ended() // here, so that a move that follows makes a new one
	return moved, err
}

// remove takes a message off its queue, once its dedup id is written.
func (a queueAdmin) remove(msg jetstream.Msg, done func(error)) {
	meta, err := msg.Metadata()
	if err != nil {
		done(err)
		return
	}
	id := msg.Headers()[headerMsgID]
	if len(id) == 0 {
		done(msg.Ack())
		return
	}
	a.store.dedup.write(meta.Stream, id[0], meta.Timestamp, func(err error) {
		if err == nil {
			err = msg.Ack()
		}
		done(err)
	})
}

type movedCopy struct {
	msg     *nats.Msg
	options driver.QueueOptions
}

// copyOf makes what a moved message is at its target.
func (a queueAdmin) copyOf(queue string, p place, msg jetstream.Msg, target func(*driver.Message) (string, driver.QueueOptions)) (place, movedCopy, bool) {
	meta, err := msg.Metadata()
	if err != nil {
		return place{}, movedCopy{}, false
	}
	if a.store.link.tooNew(msg.Headers(), msg.Subject()) {
		return place{}, movedCopy{}, false
	}
	id := movedID(p, meta.Sequence.Stream)
	m, ok := decodeStored(p.prefix, &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}, meta.Timestamp, func() string { return id })
	if !ok {
		return place{}, movedCopy{}, false
	}
	return a.copyTo(queue, id, m, target)
}

// movedID is what a message that is moved is known by, so that a move that is repeated
// stores it once.
func movedID(p place, seq uint64) string { return fmt.Sprintf("%s-%d", p.stream, seq) }

// copyTo makes what a message is at its target.
func (a queueAdmin) copyTo(queue, id string, m *driver.Message, target func(*driver.Message) (string, driver.QueueOptions)) (place, movedCopy, bool) {
	name, o := target(m)
	if name == "" || name == queue || checkKey(name) != nil {
		return place{}, movedCopy{}, false
	}
	m.Key, m.Destination, m.Dead = name, name, nil
	to := queuePlace(a.store.link.prefix, name, o)
	return to, movedCopy{a.store.stored(m, to, driver.StoreOptions{Queue: o, DedupID: "moved " + id, Internal: true}), o}, true
}
