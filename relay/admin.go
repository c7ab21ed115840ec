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

// ListQueues returns all queues that have messages or consumers, by name.
func (r *Relay) ListQueues(ctx context.Context) ([]driver.QueueInfo, error) {
	byName := make(map[string]*driver.QueueInfo)
	err := r.eachStream(ctx, func(s jetstream.Stream, info *jetstream.StreamInfo, prefix string) error {
		return r.collect(ctx, s, info, prefix, byName)
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
func (r *Relay) Queue(ctx context.Context, name string) (driver.QueueInfo, error) {
	all, err := r.ListQueues(ctx)
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
func (r *Relay) eachStream(ctx context.Context, visit func(s jetstream.Stream, info *jetstream.StreamInfo, prefix string) error) error {
	for _, prefix := range []string{r.prefix, r.prefix + ".memory", r.prefix + ".bounded"} {
		names := r.js.StreamNames(ctx, jetstream.WithStreamListSubject(prefix+".queue.>"))
		for name := range names.Name() {
			s, err := r.js.Stream(ctx, name)
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
		if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return storeError("cannot list queues", err)
		}
	}
	return nil
}

func (r *Relay) collect(ctx context.Context, s jetstream.Stream, info *jetstream.StreamInfo, prefix string, byName map[string]*driver.QueueInfo) error {
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
	if len(info.Config.Subjects) == 1 && prefix == r.prefix+".bounded" {
		q := named(info.Config.Subjects[0])
		q.Bytes, q.MaxMessages, q.MaxBytes = info.State.Bytes, max(info.Config.MaxMsgs, 0), max(info.Config.MaxBytes, 0)
	}
	consumers := s.ListConsumers(ctx)
	for one := range consumers.Info() {
		if one.NumWaiting == 0 && one.NumPending == 0 && one.NumAckPending == 0 {
			continue // left over from a consumer that is gone
		}
		q := named(one.Config.FilterSubject)
		q.Held += one.NumAckPending
		q.Redelivered += one.NumRedelivered
	}
	if err := consumers.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return storeError("cannot list the consumers of "+info.Config.Name, err)
	}
	return nil
}

// places returns where messages of a queue are.
func (r *Relay) places(ctx context.Context, queue string) ([]place, error) {
	if err := checkKey(queue); err != nil {
		return nil, err
	}
	var found []place
	for _, p := range []place{r.place(queue, driver.QueueOptions{}), r.place(queue, driver.QueueOptions{Memory: true}), r.place(queue, driver.QueueOptions{MaxMessages: 1})} {
		_, err := r.js.Stream(ctx, p.stream)
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

// PurgeQueue removes all messages of a queue, also those that consumers hold,
// and returns how many there were.
func (r *Relay) PurgeQueue(ctx context.Context, queue string) (uint64, error) {
	before, err := r.Queue(ctx, queue)
	if err != nil {
		return 0, err
	}
	places, err := r.places(ctx, queue)
	if err != nil {
		return 0, err
	}
	for _, p := range places {
		s, err := r.js.Stream(ctx, p.stream)
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

// MoveQueue moves up to most messages that nobody holds to where target says,
// and returns how many it moved. Each is stored there before it is removed here; a
// move that breaks off and is repeated stores none twice within the dedup window.
// A target of "" leaves the message where it is.
func (r *Relay) MoveQueue(ctx context.Context, queue string, most int, target func(*driver.Message) (string, driver.QueueOptions)) (moved int, err error) {
	places, err := r.places(ctx, queue)
	if err != nil {
		return 0, err
	}
	for _, p := range places {
		n, err := r.moveFrom(ctx, queue, p, most-moved, target)
		moved += n
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

func (r *Relay) moveFrom(ctx context.Context, queue string, p place, most int, target func(*driver.Message) (string, driver.QueueOptions)) (moved int, err error) {
	if most <= 0 {
		return 0, nil
	}
	q := &reader{relay: r, place: p, queue: queue, consumer: safeName(queue)}
	consumer, err := r.makeConsumer(ctx, p.stream, q.config())
	if err != nil {
		return 0, storeError("cannot consume "+queue, err)
	}
	batch, err := consumer.Fetch(min(most, 500), jetstream.FetchMaxWait(moveWait))
	if err != nil {
		return 0, storeError("cannot consume "+queue, err)
	}
	done := make(chan error, most)
	under := 0
	for msg := range batch.Messages() {
		to, copied, ok := r.copyOf(queue, p, msg, target)
		if !ok {
			_ = msg.Nak()
			continue
		}
		if err := r.ensure(ctx, to, copied.options); err != nil {
			_ = msg.Nak()
			return moved, err
		}
		under++
		r.write(copied.msg, func(err error) {
			if err != nil {
				_ = msg.Nak()
			} else {
				err = msg.Ack()
			}
			done <- err
		})
	}
	for range under {
		one := <-done
		if one == nil {
			moved++
		}
		err = errors.Join(err, one)
	}
	if err == nil && batch.Error() != nil && !errors.Is(batch.Error(), nats.ErrTimeout) {
		err = storeError("cannot consume "+queue, batch.Error())
	}
	q.tidy() // here, so that a move that follows makes it anew
	return moved, err
}

type movedCopy struct {
	msg     *nats.Msg
	options driver.QueueOptions
}

// copyOf makes what a moved message is at its target.
func (r *Relay) copyOf(queue string, p place, msg jetstream.Msg, target func(*driver.Message) (string, driver.QueueOptions)) (place, movedCopy, bool) {
	meta, err := msg.Metadata()
	if err != nil {
		return place{}, movedCopy{}, false
	}
	id := fmt.Sprintf("%s-%d", p.stream, meta.Sequence.Stream)
	m, ok := decode(p.prefix, &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}, func() string { return id })
	if !ok {
		return place{}, movedCopy{}, false
	}
	name, o := target(m)
	if name == "" || name == queue || checkKey(name) != nil {
		return place{}, movedCopy{}, false
	}
	m.Key, m.Destination, m.Dead = name, name, nil
	to := r.place(name, o)
	return to, movedCopy{r.stored(m, to, driver.StoreOptions{Queue: o, DedupID: "moved " + id, Internal: true}), o}, true
}
