package relay

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// pullExpires is how long the server keeps a pull request; what it did not
	// fill is asked for again.
	pullExpires = 30 * time.Second
	// maxPullBytes bounds one pull request, plus one message of any size.
	maxPullBytes = 8 << 20
)

// reader is a [driver.QueueReader] over a durable pull consumer, which all nodes
// share. JetStream serves their requests in turn.
type reader struct {
	readers *readers
	source  readerSource
	deliver func(driver.Delivery)
	inbox   string // begins the subjects that pull requests are answered on
	// restored is when what it reads was restored, in nanoseconds since 1970, or 0.
	restored atomic.Int64

	mu          sync.Mutex         // guards the following
	sub         *nats.Subscription // nil while there is nothing to read from
	stream      string
	consumer    string
	known       *knownConsumer
	leader      string // of the consumer, who has the pull requests
	next        string // the subject of pull requests
	round       int    // of pull requests: what the leader before says of its own is too late
	outstanding int    // asked for and not delivered
	waited      bool   // nothing was asked for since takeWaited
	heard       time.Time
	lost        bool // the consumer has to be looked for again
	served      bool // a message came
	comesAgain  bool // the last message was delivered before: more of these may wait
	recovering  bool // and is being looked for; what is outstanding is asked for then
	closed      bool
	// returns are given back once it is closed and the server knows; then returned.
	returns  []driver.Delivery
	returned bool
	// came is closed at the first message, where new ones wait for it; else it is nil.
	came chan struct{}
}

// readerSource is what a reader reads from: a queue, or a durable subscription.
type readerSource interface {
	// name is the destination, for logs.
	name() string
	// idle reports whether there is nothing to read from yet.
	idle() bool
	// ensure makes the stream and the consumer where they are missing, and returns
	// what they are.
	ensure(ctx context.Context) (stream string, consumer *jetstream.ConsumerInfo, err error)
	// forget has ensure look for the stream again.
	forget()
	// restored returns when it was restored, in nanoseconds since 1970, or 0.
	restored() int64
	// handle delivers a message.
	handle(q *reader, msg *nats.Msg, meta *nats.MsgMetadata)
	// handleLate is handle for a reader that is closed, which has the message go back.
	handleLate(q *reader, msg *nats.Msg, meta *nats.MsgMetadata)
	// ended is called once the reader is closed.
	ended()
}

// Pull has n more messages delivered.
func (q *reader) Pull(n int) {
	q.mu.Lock()
	q.waited = q.waited || q.outstanding == 0
	q.outstanding += n
	waits := q.lost || q.recovering || q.closed
	q.mu.Unlock()
	if !waits {
		q.request(n)
	}
}

// listen subscribes to what is answered, once there is something to read from: a subscription
// has a goroutine.
func (q *reader) listen() error {
	q.mu.Lock()
	listens := q.sub != nil
	q.mu.Unlock()
	if listens {
		return nil
	}
	sub, err := q.readers.link.conn.Subscribe(q.inbox+".*", q.arrived)
	if err != nil {
		return unreachable(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the pulls bound it
		return err
	}
	q.mu.Lock()
	closed := q.closed
	if !closed {
		q.sub = sub
	}
	q.mu.Unlock()
	if closed {
		return sub.Unsubscribe()
	}
	return nil
}

// takeWaited reports whether nothing was asked for at some time since it was last called.
func (q *reader) takeWaited() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	waited := q.waited
	q.waited = false
	return waited
}

func (q *reader) request(n int) {
	conn := q.readers.link.conn
	body, err := json.Marshal(struct {
		Batch    int           `json:"batch"`
		Expires  time.Duration `json:"expires"`
		MaxBytes int64         `json:"max_bytes"`
	}{n, pullExpires, max(maxPullBytes, 2*conn.MaxPayload())})
	q.mu.Lock()
	next, reply := q.next, q.replyLocked()
	q.mu.Unlock()
	if err == nil {
		err = conn.PublishRequest(next, reply, body)
	}
	if err != nil {
		q.markLost()
	}
}

// replyLocked is where the pull requests of this round are answered.
func (q *reader) replyLocked() string { return q.inbox + "." + strconv.Itoa(q.round) }

// markLost has the consumer looked for again by the janitor.
func (q *reader) markLost() {
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
	late := msg.Subject != q.replyLocked()
	if !late {
		q.heard = time.Now()
	}
	q.mu.Unlock()
	if late {
		return // what was asked for then has been asked for again
	}
	switch status {
	case "100":
	case "404", "408":
		q.requestRest(msg)
	case "409":
		switch msg.Header.Get("Description") {
		case "Batch Completed": // all of it came
		case "Message Size Exceeds MaxBytes":
			q.endEarly(msg)
		default:
			q.markLost()
		}
	default:
		q.markLost()
	}
}

// requestRest asks again for what a pull request that is over did not bring.
func (q *reader) requestRest(msg *nats.Msg) {
	n, _ := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	q.mu.Lock()
	n = min(n, q.outstanding)
	closed := q.closed
	q.mu.Unlock()
	if n > 0 && !closed {
		q.request(n)
	}
}

// endEarly says how many messages a pull request did not bring that has brought as many
// bytes as it may: the queue pulls again when it has room for them.
func (q *reader) endEarly(msg *nats.Msg) {
	n, _ := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	q.mu.Lock()
	n = min(n, q.outstanding)
	q.outstanding -= n
	closed := q.closed
	q.mu.Unlock()
	if n > 0 && !closed {
		q.deliver(driver.Delivery{Short: n})
	}
}

func (q *reader) message(msg *nats.Msg) {
	meta, err := msg.Metadata()
	q.mu.Lock()
	q.outstanding = max(q.outstanding-1, 0)
	q.heard = time.Now()
	q.served = true
	q.comesAgain = err == nil && meta.NumDelivered > 1
	closed := q.closed
	if q.came != nil {
		close(q.came)
		q.came = nil
	}
	q.mu.Unlock()
	if err != nil {
		q.readers.link.log.Warn("a queue's message without JetStream's reply subject was ignored", "destination", q.source.name(), "error", err)
		return
	}
	if closed {
		q.source.handleLate(q, msg, meta)
		return
	}
	q.source.handle(q, msg, meta)
}

// endedByNewer ends the reader at a message that this build cannot read, and gives that
// back for a newer node: to pull on would count deliveries that no client had. It reports
// whether that is so.
func (q *reader) endedByNewer(msg *nats.Msg, meta *nats.MsgMetadata) bool {
	l := q.readers.link
	if !l.tooNew(msg.Header, msg.Subject) {
		return false
	}
	l.log.Error("this node reads no more of a queue or durable subscription: a message in it was written by a newer version of stompbox; upgrade this node", "destination", q.source.name(), "seq", meta.Sequence.Stream, "version", msg.Header[headerVersion][0])
	q.Close([]driver.Delivery{{Seq: meta.Sequence.Stream, Token: msg.Reply}})
	return true
}

// mayBeKnown reports whether a message may have been delivered before, though JetStream
// does not know of it.
func (q *reader) mayBeKnown(meta *nats.MsgMetadata) bool {
	q.mu.Lock()
	known := q.known
	q.mu.Unlock()
	came := known != nil && known.came(meta)
	return came || meta.Timestamp.UnixNano() < max(q.readers.link.crashed(), q.restored.Load())
}

// What a message's reply subject takes.
var (
	ackBody = []byte("+ACK")
	nakBody = []byte("-NAK")
	// overdueBody has the server write down that a message is to come again. That it comes
	// again at once is nothing that the server keeps when it ends or another one leads.
	overdueBody = []byte("-NAK 1ns")
	extendBody  = []byte("+WPI")
)

// Ack removes a delivered message from the queue.
func (q *reader) Ack(d driver.Delivery, done func(error)) {
	_, rest, ok := strings.Cut(d.Token, tokenSeparator)
	if !ok {
		q.remove(d, done)
		return
	}
	stored, rest, _ := strings.Cut(rest, tokenSeparator)
	stream, id, _ := strings.Cut(rest, tokenSeparator)
	at, _ := strconv.ParseInt(stored, 10, 64)
	q.readers.dedup.write(stream, id, time.UnixMilli(at), func(err error) {
		switch {
		case err == nil:
			q.remove(d, done)
		case done != nil:
			done(err)
		default:
			q.readers.link.log.Warn("a dedup id could not be written, so its message was not removed; it comes again after the ack wait", "destination", q.source.name(), "seq", d.Seq, "error", err)
		}
	})
}

func (q *reader) remove(d driver.Delivery, done func(error)) {
	if done == nil {
		q.notify(d, ackBody)
		return
	}
	q.mu.Lock()
	consumer := q.next
	q.mu.Unlock()
	q.readers.acks.request(consumer, subjectOf(d), ackBody, done)
}

// tokenSeparator ends the reply subject in the token of a delivery.
const tokenSeparator = "\n"

// subjectOf returns the reply subject of a delivery.
func subjectOf(d driver.Delivery) string {
	subject, _, _ := strings.Cut(d.Token, tokenSeparator)
	return subject
}

// Requeue puts a delivered message back.
func (q *reader) Requeue(d driver.Delivery) {
	if !q.keep(d) {
		q.notify(d, nakBody)
	}
}

// Extend keeps a delivered message from going to others.
func (q *reader) Extend(d driver.Delivery) { q.notify(d, extendBody) }

func (q *reader) notify(d driver.Delivery, body []byte) {
	l := q.readers.link
	if err := l.conn.Publish(subjectOf(d), body); err != nil {
		l.log.Debug("JetStream could not be notified about a message; it comes again after the ack wait", "destination", q.source.name(), "seq", d.Seq, "error", err)
	}
}

// ensure makes the stream and the consumer where they are missing.
func (q *reader) ensure(ctx context.Context) error {
	stream, consumer, err := q.source.ensure(ctx)
	if err != nil {
		return err
	}
	q.restored.Store(q.source.restored())
	known, first := q.readers.known.look(stream, consumer)
	q.mu.Lock()
	q.stream, q.consumer, q.known, q.leader = stream, consumer.Name, known, leaderOfConsumer(consumer)
	q.next = known.key
	q.mu.Unlock()
	if first && consumer.NumAckPending > 0 && q.readers.link.server.isPrivate() {
		q.waitForOld(ctx, stream, consumer.Config)
	}
	return nil
}

func pullSubject(stream, consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer
}

// beginRecovery reports whether the consumer has to be looked for, which then is the
// caller's to do.
func (q *reader) beginRecovery(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	silent := q.outstanding > 0 && now.Sub(q.heard) > pullExpires+10*time.Second
	// One that died, or was paused or cut off, has taken the pull requests with it.
	moved := q.outstanding > 0 && q.known.ledByOther(q.leader)
	if q.closed || q.recovering || !q.lost && !silent && !moved || q.source.idle() {
		return false
	}
	q.recovering, q.lost = true, false
	return true
}

// recover finds a consumer again that is gone, and asks for what is outstanding.
func (q *reader) recover(ctx context.Context) {
	err := q.ensure(ctx)
	if err == nil {
		err = q.listen()
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			q.readers.link.log.Warn("a queue cannot be consumed; it is tried again", "destination", q.source.name(), "error", err)
		}
		q.source.forget()
	}
	q.mu.Lock()
	q.recovering, q.lost = false, q.lost || err != nil
	reads, outstanding := !q.lost && !q.closed, q.outstanding
	if reads {
		q.heard = time.Now()
		q.round++
	}
	q.mu.Unlock()
	if reads && outstanding > 0 {
		q.request(outstanding)
	}
}

// leaderOfConsumer is who leads a consumer, or "" where there is no cluster.
func leaderOfConsumer(info *jetstream.ConsumerInfo) string {
	if info.Cluster == nil {
		return ""
	}
	return info.Cluster.Leader
}
