package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/stompbox/stompbox/broker/driver"
)

// setupTimeout bounds how long a first write to a stream waits for it to be made.
const setupTimeout = 5 * time.Second

// queueStore is a [driver.QueueStore] on streams of JetStream.
type queueStore struct {
	link      *link
	acks      *acks
	readers   *readers
	streams   *queueStreams
	memory    *memoryQueues
	dedup     *dedupJournal
	histories historyPlaces
	ackWait   time.Duration
}

// historyPlaces say where a message of a history is to be written.
type historyPlaces interface {
	place(ctx context.Context, history, key string) (place, error)
}

func newQueueStore(l *link, a *acks, r *readers, dedup *dedupJournal, histories historyPlaces, settings QueueSettings) *queueStore {
	memory := &memoryQueues{link: l}
	streams := &queueStreams{link: l, memory: memory, settings: settings, known: make(map[string]*knownStream)}
	return &queueStore{link: l, acks: a, readers: r, streams: streams, memory: memory, dedup: dedup, histories: histories, ackWait: settings.AckWait}
}

// AckWait is how long JetStream waits for a node that holds messages.
func (s *queueStore) AckWait() time.Duration { return s.ackWait }

// Store writes a message to its queue. See [driver.QueueStore].
func (s *queueStore) Store(m *driver.Message, o driver.StoreOptions, done func(error)) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	p, err := s.locate(ctx, m.Key, o)
	if err != nil {
		done(err)
		return
	}
	msg := s.stored(m, p, o)
	known, err := s.known(ctx, p, msg, o)
	if err != nil || known {
		done(err)
		return
	}
	s.acks.publish(p.stream, msg, done)
}

// locate says where a message is to be stored, and makes what is missing there.
// It fails at once on a node that is cut off, whose server may still take messages
// that no majority will have, and where there is no majority.
func (s *queueStore) locate(ctx context.Context, key string, o driver.StoreOptions) (place, error) {
	if err := checkKey(key); err != nil {
		return place{}, err
	}
	if err := s.link.checkWrite(); err != nil {
		return place{}, err
	}
	if o.History != "" {
		return s.histories.place(ctx, o.History, key)
	}
	p := queuePlace(s.link.prefix, key, o.Queue)
	return p, s.streams.ensure(ctx, p, o.Queue)
}

// known reports whether a message was stored before under the same dedup id, and
// removed since. JetStream itself knows those that are still there.
func (s *queueStore) known(ctx context.Context, p place, msg *nats.Msg, o driver.StoreOptions) (bool, error) {
	if o.DedupID == "" {
		return false, nil
	}
	if o.History != "" { // JetStream knows those of histories, but right after one was restored
		return s.dedup.removed(p.stream, msg.Header[headerMsgID][0]), nil
	}
	if err := s.dedup.ensure(ctx); err != nil {
		return false, err
	}
	return s.dedup.removed(p.stream, msg.Header[headerMsgID][0]), nil
}

// stored makes the NATS message of a queue's message.
func (s *queueStore) stored(m *driver.Message, p place, o driver.StoreOptions) *nats.Msg {
	msg := encode(s.link.prefix, m)
	msg.Subject = p.subject
	if o.DedupID != "" {
		msg.Header["Nats-Msg-Id"] = []string{dedupID(m.User, m.Key, o)}
	}
	if ttl := ttlOf(o.Expires, time.Now()); ttl > 0 {
		msg.Header["Nats-TTL"] = []string{strconv.FormatInt(ttl, 10) + "s"}
	}
	return msg
}

// maxTTL is how long, in seconds, JetStream is to keep a message. What is to expire later
// never does: JetStream counts in nanoseconds, which end in 2262, and would throw it away.
const maxTTL = 100 * 365 * 24 * 3600

// ttlOf is in how many seconds, at least one, a message expires, or 0 for never.
func ttlOf(expires int64, now time.Time) int64 {
	if expires <= 0 {
		return 0
	}
	seconds := max((expires-now.UnixMilli()+999)/1000, 1)
	if seconds > maxTTL {
		return 0
	}
	return seconds
}

// dedupID returns the id under which a stream knows a message. The stream's window is
// that of all its queues, so the queue is part of it. So is the user: no other can take
// an id first and have a message dropped. No id of a client is one of the broker's own.
func dedupID(user, key string, o driver.StoreOptions) string {
	if o.Internal {
		return "stompbox:" + shortDedupID(escape(escape(key, isNameByte)+" "+o.DedupID, isNameByte))
	}
	return shortDedupID(escape(escape(user, isNameByte)+" "+escape(key, isNameByte)+" "+o.DedupID, isNameByte))
}

// shortDedupID is a hash in place of a long id.
func shortDedupID(id string) string {
	if len(id) <= maxPlainDedupID {
		return id
	}
	hash := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(hash[:]) // escaped ones have no colon
}

// maxPlainDedupID is up to how long such an id is kept as it is: JetStream has all of the
// window in memory.
const maxPlainDedupID = 128

// DedupWindow says how long. See [driver.QueueStore].
func (s *queueStore) DedupWindow() time.Duration { return s.streams.settings.DedupWindow }

// maxBatch is the most messages that JetStream writes as one.
const maxBatch = 1000

// StoreAll writes several messages: all those of one stream or none of them.
// Queues without limits of their own are in one stream.
func (s *queueStore) StoreAll(ctx context.Context, all []driver.StoreRequest) error {
	byStream := make(map[string][]*nats.Msg)
	var order []string
	for _, request := range all {
		p, err := s.locate(ctx, request.Message.Key, request.Options)
		if err != nil {
			return err
		}
		msg := s.stored(request.Message, p, request.Options)
		known, err := s.known(ctx, p, msg, request.Options)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if byStream[p.stream] == nil {
			order = append(order, p.stream)
		}
		byStream[p.stream] = append(byStream[p.stream], msg)
	}
	for _, stream := range order {
		if len(byStream[stream]) > maxBatch {
			return fmt.Errorf("relay: a transaction may write %d messages to queues", maxBatch)
		}
	}
	for _, stream := range order {
		if err := s.writeBatch(ctx, stream, byStream[stream]); err != nil {
			return err
		}
	}
	return nil
}

func (s *queueStore) writeBatch(ctx context.Context, stream string, batch []*nats.Msg) error {
	if len(batch) == 1 {
		return s.writeEach(ctx, stream, batch)
	}
	id := nuid.Next()
	for i, msg := range batch {
		msg.Header["Nats-Batch-Id"] = []string{id}
		msg.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
	}
	last := len(batch) - 1
	batch[last].Header["Nats-Batch-Commit"] = []string{"1"}
	answers := make(chan error, len(batch))
	for i, msg := range batch {
		if i == last {
			s.acks.publish(stream, msg, func(err error) { answers <- err })
			break
		}
		if err := s.link.conn.PublishMsg(msg); err != nil {
			return unreachable(err)
		}
	}
	err := wait(ctx, answers, 1)
	var api *apiError
	if errors.As(err, &api) && api.ErrCode == errCodeBatchDuplicate {
		// A sender repeats what it did not hear of. What was written then is
		// dropped by its dedup id, and the rest is written now.
		for _, msg := range batch {
			for _, name := range []string{"Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"} {
				delete(msg.Header, name)
			}
		}
		return s.writeEach(ctx, stream, batch)
	}
	return err
}

// writeEach writes messages one by one, and none after one that failed: its sender repeats
// it, and those after it would come before it.
func (s *queueStore) writeEach(ctx context.Context, stream string, batch []*nats.Msg) error {
	answers := make(chan error, len(batch))
	for _, msg := range batch {
		s.acks.publish(stream, msg, func(err error) { answers <- err })
		if err := wait(ctx, answers, 1); err != nil {
			return err
		}
	}
	return nil
}

func wait(ctx context.Context, answers <-chan error, n int) error {
	var failed error
	for range n {
		select {
		case err := <-answers:
			failed = errors.Join(failed, err)
		case <-ctx.Done():
			return fmt.Errorf("%w: no answer in time: %w", driver.ErrUnavailable, ctx.Err())
		}
	}
	return failed
}

// deleteConsumers removes the consumers of all queues, which are made again when they
// are needed. After a process died JetStream may have lost that it had removed a message,
// and kept that the message was acknowledged: it would stay hidden until some later
// consumer, which gave it to a client as new.
func (s *queueStore) deleteConsumers(ctx context.Context) error {
	if err := s.link.checkAsk(); err != nil {
		return err
	}
	streams, err := s.streams.names(ctx)
	if err != nil {
		return err
	}
	for _, name := range streams {
		stream, err := s.link.js.Stream(ctx, name)
		if err != nil {
			return storeError("cannot look at "+name, err)
		}
		consumers := stream.ConsumerNames(ctx)
		for _, consumer := range drain(consumers.Name()) {
			if err := stream.DeleteConsumer(ctx, consumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return storeError("cannot remove a consumer of "+name, err)
			}
		}
		if err := consumers.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return storeError("cannot list the consumers of "+name, err)
		}
	}
	return nil
}

// Offer hands a message of a transient queue to a consumer elsewhere.
func (s *queueStore) Offer(m *driver.Message, done func(error)) error {
	if err := checkKey(m.Key); err != nil {
		return err
	}
	if s.link.private() {
		if done != nil {
			done(driver.ErrNoConsumer)
		}
		return nil
	}
	msg := encode(s.link.prefix, m)
	msg.Subject = Subject(s.link.prefix+".transient", m.Key)
	if done != nil {
		s.readers.acks.publish("", msg, func(err error) {
			if errors.Is(err, nats.ErrNoResponders) {
				err = driver.ErrNoConsumer
			}
			done(err)
		})
		return nil
	}
	if err := s.link.conn.PublishMsg(msg); err != nil {
		return unreachable(err)
	}
	return nil
}

// noRoom answers what is offered to a transient queue that is full, as JetStream does.
var noRoom = []byte(`{"error":{"code":400,"description":"maximum messages exceeded"}}`)

// OpenTransient joins a transient queue, on a NATS queue group.
func (s *queueStore) OpenTransient(queue string, deliver func(*driver.Message) bool) (func(), error) {
	if err := checkKey(queue); err != nil {
		return nil, err
	}
	sub, err := s.link.conn.QueueSubscribe(Subject(s.link.prefix+".transient", queue), "stompbox", func(msg *nats.Msg) {
		if s.link.tooNew(msg.Header, msg.Subject) {
			return // its sender gets no answer, and says so
		}
		if m, ok := decode(s.link.prefix+".transient", msg, s.link.nextID); ok {
			answer := []byte{}
			if !deliver(m) {
				answer = noRoom
			}
			if msg.Reply != "" {
				_ = msg.Respond(answer) // its sender gets no answer then, and says so
			}
		}
	})
	if err != nil {
		return nil, unreachable(err)
	}
	if err := sub.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { _ = sub.Drain() }), nil
}
