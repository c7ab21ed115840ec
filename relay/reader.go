package relay

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// pullExpires is how long the server keeps a pull request; what it did not
	// fill is asked for again.
	pullExpires = 30 * time.Second
	// mostPullBytes bounds one pull request, beside one message of any size.
	mostPullBytes = 8 << 20
	// reopenWait is between attempts to find a consumer that is gone.
	reopenWait = 500 * time.Millisecond
)

// reader is a driver.QueueReader over a durable pull consumer, which all nodes
// share. JetStream serves their requests in turn.
type reader struct {
	relay    *Relay
	place    place
	queue    string
	options  driver.QueueOptions
	durable  *driver.DurableSubscription // it is a durable subscription's
	consumer string
	next     string // the subject of pull requests
	deliver  func(driver.Delivery)
	sub      *nats.Subscription

	mu     sync.Mutex
	owed   int // asked for and not delivered
	heard  time.Time
	lost   bool // the consumer has to be looked for again
	closed bool
}

// OpenQueue begins to consume a queue. See [driver.QueueStore].
func (r *Relay) OpenQueue(ctx context.Context, queue string, o driver.QueueOptions, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	if err := checkKey(queue); err != nil {
		return nil, err
	}
	p := r.place(queue, o)
	q := &reader{relay: r, place: p, queue: queue, options: o, consumer: safeName(queue), deliver: deliver, heard: time.Now()}
	q.next = nextSubject(p.stream, q.consumer)
	if q.lost = q.idle(); !q.lost {
		if err := q.ensure(ctx); err != nil {
			return nil, err
		}
	}
	return q, q.begin()
}

func nextSubject(stream, consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer
}

// begin subscribes to what the pulls bring.
func (q *reader) begin() error {
	r := q.relay
	var err error
	if q.sub, err = r.conn.Subscribe(nats.NewInbox(), q.arrived); err != nil {
		return unavailable(err)
	}
	if err = q.sub.SetPendingLimits(-1, -1); err != nil { // the pulls bound it
		return err
	}
	r.readersMu.Lock()
	r.readers[q] = struct{}{}
	r.readersMu.Unlock()
	return nil
}

// ensure makes the stream and the consumer where they are missing.
func (q *reader) ensure(ctx context.Context) error {
	if q.durable != nil {
		return q.ensureDurable(ctx)
	}
	r := q.relay
	if err := r.ensure(ctx, q.place, q.options); err != nil {
		return err
	}
	_, err := r.makeConsumer(ctx, q.place.stream, q.config())
	if err != nil {
		return storeError("cannot make the consumer of "+q.queue, err)
	}
	return nil
}

const (
	// makeTries and makePause are for a consumer that cannot be made.
	makeTries = 5
	makePause = 50 * time.Millisecond
)

// makeConsumer makes a consumer, or finds the one that is there. While the server
// still removes the files of one that had the same name, making another one fails; so
// it is tried again.
func (r *Relay) makeConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (consumer jetstream.Consumer, err error) {
	for try := range makeTries {
		consumer, err = r.js.CreateOrUpdateConsumer(ctx, stream, config)
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeConsumerCreate {
			return consumer, err
		}
		select {
		case <-time.After(makePause << try):
		case <-ctx.Done():
			return nil, err
		}
	}
	return nil, err
}

// config is the consumer's. It is the same on all nodes.
func (q *reader) config() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: q.consumer, Description: q.queue, FilterSubject: q.place.subject,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.relay.queues.AckWait,
		MaxDeliver: -1, MaxAckPending: -1,
	}
}

// Pull has n more messages delivered.
func (q *reader) Pull(n int) {
	q.mu.Lock()
	q.owed += n
	lost := q.lost || q.closed
	q.mu.Unlock()
	if !lost {
		q.request(n)
	}
}

func (q *reader) request(n int) {
	body, err := json.Marshal(struct {
		Batch    int           `json:"batch"`
		Expires  time.Duration `json:"expires"`
		MaxBytes int64         `json:"max_bytes"`
	}{n, pullExpires, max(mostPullBytes, 2*q.relay.MaxPayload())})
	q.mu.Lock()
	next := q.next
	q.mu.Unlock()
	if err == nil {
		err = q.relay.conn.PublishRequest(next, q.sub.Subject, body)
	}
	if err != nil {
		q.lose()
	}
}

// lose has the consumer looked for again by the janitor.
func (q *reader) lose() {
	q.mu.Lock()
	q.lost = true
	q.mu.Unlock()
}

// arrived takes a message, or what the server says of a pull request.
func (q *reader) arrived(msg *nats.Msg) {
	status := statusOf(msg)
	if status == "" || msg.Reply != "" {
		q.message(msg)
		return
	}
	q.mu.Lock()
	q.heard = time.Now()
	q.mu.Unlock()
	switch status {
	case "100":
	case "404", "408":
		q.again(msg)
	case "409":
		switch msg.Header.Get("Description") {
		case "Batch Completed": // all of it came
		case "Message Size Exceeds MaxBytes":
			q.again(msg)
		default:
			q.lose()
		}
	default:
		q.lose()
	}
}

// again asks anew for what a pull request that is over did not bring.
func (q *reader) again(msg *nats.Msg) {
	n, _ := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	q.mu.Lock()
	n = min(n, q.owed)
	closed := q.closed
	q.mu.Unlock()
	if n > 0 && !closed {
		q.request(n)
	}
}

func (q *reader) message(msg *nats.Msg) {
	q.mu.Lock()
	q.owed = max(q.owed-1, 0)
	q.heard = time.Now()
	q.mu.Unlock()
	meta, err := msg.Metadata()
	if err != nil {
		q.relay.log.Warn("a queue's message without JetStream's reply subject was ignored", "destination", q.queue, "error", err)
		return
	}
	if q.durable != nil {
		q.remembered(msg, meta)
		return
	}
	m, ok := decode(q.place.prefix, msg, func() string {
		return q.place.stream + "-" + strconv.FormatUint(meta.Sequence.Stream, 36)
	})
	if !ok {
		return
	}
	m.Key = q.queue
	q.deliver(driver.Delivery{
		Message: m, Count: int(meta.NumDelivered), Token: msg.Reply,
		Redelivered: meta.Timestamp.Before(q.relay.crashed),
	})
}

// What a message's reply subject takes.
var (
	ackBody    = []byte("+ACK")
	nakBody    = []byte("-NAK")
	extendBody = []byte("+WPI")
)

// Ack removes a delivered message from the queue.
func (q *reader) Ack(d driver.Delivery, done func(error)) {
	if done == nil {
		q.tell(d, ackBody)
		return
	}
	reply, id := q.relay.acks.expect(done)
	if err := q.relay.conn.PublishRequest(d.Token, reply, ackBody); err != nil {
		q.relay.acks.settle(id, unavailable(err))
	}
}

// Return puts a delivered message back.
func (q *reader) Requeue(d driver.Delivery) { q.tell(d, nakBody) }

// Extend keeps a delivered message from going to others.
func (q *reader) Extend(d driver.Delivery) { q.tell(d, extendBody) }

func (q *reader) tell(d driver.Delivery, what []byte) {
	if err := q.relay.conn.Publish(d.Token, what); err != nil {
		q.relay.log.Debug("JetStream could not be told of a message; it comes again after the ack wait", "destination", q.queue, "message", d.Message.ID, "error", err)
	}
}

// Close ends the delivery. A consumer that nobody pulls from and that remembers
// nothing is removed, so that an idle queue costs its messages alone.
func (q *reader) Close() {
	q.mu.Lock()
	closed := q.closed
	q.closed = true
	q.mu.Unlock()
	if closed {
		return
	}
	r := q.relay
	r.readersMu.Lock()
	delete(r.readers, q)
	r.readersMu.Unlock()
	_ = q.sub.Drain() // what is on its way still arrives, and goes back
	if !q.idle() {
		r.background.Go(q.tidy)
	}
}

func (q *reader) tidy() {
	if q.durable != nil {
		return
	}
	ctx, cancel := context.WithTimeout(q.relay.ctx, setupTimeout)
	defer cancel()
	if q.relay.conn.FlushWithContext(ctx) != nil {
		return
	}
	c, err := q.relay.js.Consumer(ctx, q.place.stream, q.consumer)
	if err != nil {
		return
	}
	info := c.CachedInfo()
	if info.NumAckPending == 0 && info.NumRedelivered == 0 && info.NumWaiting == 0 {
		_ = q.relay.js.DeleteConsumer(ctx, q.place.stream, q.consumer)
	}
}

// recover finds a consumer again that is gone, and asks for what is owed.
func (q *reader) recover(ctx context.Context, now time.Time) {
	q.mu.Lock()
	silent := q.owed > 0 && now.Sub(q.heard) > pullExpires+10*time.Second
	needed := (q.lost || silent) && !q.closed && !q.idle()
	q.mu.Unlock()
	if !needed {
		return
	}
	if err := q.ensure(ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			q.relay.log.Warn("a queue cannot be consumed; it is tried again", "destination", q.queue, "error", err)
		}
		q.relay.forgetStreams()
		return
	}
	q.mu.Lock()
	q.lost, q.heard = false, now
	owed := q.owed
	q.mu.Unlock()
	if owed > 0 {
		q.request(owed)
	}
}
