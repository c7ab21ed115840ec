package broker

import (
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

// state is where a session stands. It only ever goes forward.
type state int32

const (
	stateConnecting state = iota // no CONNECT yet
	stateConnected
	stateEnding // last frames are being written; what arrives is ignored
)

// lingerTimeout is how long a client may take to read the last frames.
const lingerTimeout = 3 * time.Second

// Session is one STOMP session over one connection. Receive and Detach are for
// the goroutine that reads the connection; Push, Touch, Refuse and ID for any.
type Session struct {
	broker     *Broker
	transport  Transport
	framing    Framing
	outbox     outbox
	decoder    frames.Decoder
	id         string
	number     uint64
	index      int           // in its registry shard, under the shard's lock
	negotiated atomic.Uint32 // the negotiated frames.Version
	state      atomic.Int32
	detached   atomic.Bool
	reported   atomic.Bool // the log has the error that ended it
	stream     bool        // its framing carries events
	failed     bool        // under handling: an ERROR is to come; what arrives is ignored

	openedAt    int64 // clock time
	lastRead    atomic.Int64
	beatSend    atomic.Int64 // agreed intervals in nanoseconds
	beatReceive atomic.Int64
	expiresAt   atomic.Int64 // milliseconds since 1970; 0 is never
	endsAt      atomic.Int64 // clock time at which a stream ends; 0 is never
	// Of the sweeper alone: when it last asked a silent peer, how far its peer had come,
	// and when that was another number than before.
	pinged, progressAt int64
	progress           uint64

	traffic  *transportStats // of all sessions over this kind of connection
	received atomic.Int64    // bytes

	shown atomic.Pointer[auth.Principal] // principal, for others than the reader
	ended endCause

	address      netip.Prefix    // as quotas count it
	usage        *userUsage      // its user's; nil before CONNECT
	user         string          // the principal's name, set before the version
	principal    *auth.Principal // set by CONNECT and token refreshes, by the reader alone
	subs         subscriptions
	transactions map[string]*transaction
	rate         bucket // of SEND frames

	retired  map[string]*subscription // unsubscribed, with messages to acknowledge
	receipts receiptQueue
	reading  *readScratch // of the read under way; the reader's
	flushes  *flushList   // the reading's, while a frame of it is handled, under handling; nil otherwise

	lanes    map[laneKey]*lane // what is stored in order; the reader's
	serials  uint64            // subscriptions so far
	arriving arriving
	early    int   // bytes that came before CONNECT
	beaten   int64 // clock time of the last heart-beat that is an event; the sweep's

	// What the session has of budgets, under handling.
	subscriptionBytes, transactionBytes, incomingBytes account

	// handling is held while a frame is handled, and while the session lets go of what
	// it has: others than the reader may end it. It comes before all other locks.
	handling sync.Mutex

	held       held       // under mu
	mu         sync.Mutex // the unacked of all subs; and subs, where others than the reader read it
	deliveries uint64     // to client-acknowledged subscriptions and of queues so far, under mu
}

// connectionLogEvery is how often it is logged that there are too many connections.
const connectionLogEvery = 10 * time.Second

func (b admission) logConnectionLimit(limit int, refused Transport) {
	now := b.clock.now() + 1
	if last := b.refusedAt.Load(); (last == 0 || now-last >= int64(connectionLogEvery)) && b.refusedAt.CompareAndSwap(last, now) {
		b.log.Warn("connections are refused: there are as many as the limit allows", "limit", limit, "remote", refused.RemoteAddr(), "transport", refused.Name())
	}
}

// ID returns the session header of CONNECTED.
func (s *Session) ID() string { return s.id }

// Connected reports whether the client was authenticated, even after the session has ended. It is
// safe for concurrent use.
func (s *Session) Connected() bool { return s.version() != 0 }

// version is what was negotiated, or 0 before CONNECT.
func (s *Session) version() frames.Version { return frames.Version(s.negotiated.Load()) }

// setVersion notes what was negotiated, once.
func (s *Session) setVersion(v frames.Version) {
	s.negotiated.Store(uint32(v))
	s.traffic.sessions[versionIndex(v)].Add(1)
	s.traffic.sessions[0].Add(-1)
}

// Touch records that the peer is alive, for bytes that are not STOMP, such as answers to a ping.
// It is safe for concurrent use.
func (s *Session) Touch() { s.lastRead.Store(s.broker.clock.now()) }

// Arriving records that the peer is alive and that a transport has n bytes of a message which is
// not whole yet, or 0 once it is. It is for transports that decode whole messages, and for the
// goroutine that calls Receive.
func (s *Session) Arriving(n int) {
	now := s.broker.clock.now()
	s.lastRead.Store(now)
	if n == 0 {
		if !s.decoder.Partial() {
			s.arriving.end()
		}
		return
	}
	s.arriving.note(now, s.received.Load()+int64(n))
}

// Push queues bytes in wire form that are not STOMP, such as the answer to a ping, in order with
// everything else. It is safe for concurrent use.
func (s *Session) Push(wire []byte) { s.outbox.push(wire) }

// Leave ends the session because the peer sent a close frame. Last is written after the answers
// to all earlier frames, or an ERROR where the last of them is not whole, and nothing after it.
// Leave is for the goroutine that calls Receive.
func (s *Session) Leave(last []byte) {
	s.EndRead()
	s.endTruncated(last)
	s.ended.set(&endedByClient) // the first cause counts
	s.Refuse(last, Refusal{})
}

// Refuse ends the session because its transport cannot take what the peer sent. Last, which says
// so, is written after the answers to all earlier frames, and nothing after it. Refuse is for the
// goroutine that calls Receive.
func (s *Session) Refuse(last []byte, why Refusal) {
	s.EndRead()
	if why.Limit != "" {
		s.broker.CountLimit(why.Limit)
	}
	s.ended.set(why.ending())
	s.answerReplays()
	s.receipts.afterPending(func() { s.finish(false, last) })
}

// endTruncated ends the session with an ERROR where its peer has said all that it has to
// say, and the last frame of that is not whole: else the peer could take it for accepted.
func (s *Session) endTruncated(last []byte) {
	s.handling.Lock()
	defer s.handling.Unlock()
	if s.failed || state(s.state.Load()) == stateEnding || s.arriving.since.Load() == 0 {
		return
	}
	err := s.decoder.End()
	if err == nil {
		err = errorf(frames.CodeTruncated, "the connection ended inside a message, which was not handled")
	}
	e := *protocolError(err)
	e.inSession(s.id)
	if last == nil {
		last = s.framing.Close(e.CloseCode(), e.CloseReason())
	}
	s.failed = true
	s.answerReplays()
	s.receipts.afterPending(func() { s.end(&e, last) })
}

// readScratch is what one read needs.
type readScratch struct {
	frame   frames.Frame
	flushes flushList
	bytes   int64
}

var readScratches = sync.Pool{New: func() any { return new(readScratch) }}

// Receive handles the next bytes of the connection. It does not keep p. It returns ErrClosed once
// the session has ended; discard what still arrives until the connection ends. It is ReceivePart
// and EndRead.
func (s *Session) Receive(p []byte) error {
	err := s.ReceivePart(p)
	s.EndRead()
	return err
}

// maxReadBytes is how much of one read is handled at most before what it has for others is written.
const maxReadBytes = 64 << 10

// ReceivePart is Receive for a part of what one read of the connection brought, such as one of
// several messages of a WebSocket. What the parts have for the same connection, this one or
// another, is written at once, so the caller must not wait before it calls EndRead.
func (s *Session) ReceivePart(p []byte) error {
	s.lastRead.Store(s.broker.clock.now())
	n := int64(len(p))
	s.received.Add(n)
	s.traffic.received.Add(n)
	r := s.reading
	if r == nil {
		r = readScratches.Get().(*readScratch)
		s.reading = r
	}
	r.bytes += n
	err := s.receive(p, r)
	if r.bytes >= maxReadBytes {
		s.EndRead()
	}
	return err
}

// EndRead ends the read of a ReceivePart: what it has for other connections is written. It does
// nothing where there was none since the last call.
func (s *Session) EndRead() {
	r := s.reading
	if r == nil {
		return
	}
	s.reading = nil
	n := r.bytes
	r.flushes.flush() // without a lock
	clear(r.frame.Headers)
	r.frame.Body, r.bytes = nil, 0
	readScratches.Put(r)
	if received := s.received.Load(); received/yieldBytes != (received-n)/yieldBytes {
		runtime.Gosched()
	}
}

// yieldBytes is after how many bytes a session lets others go on. Its connection is always
// ready to be read while a peer floods it, and nothing else would end its turn for 10 ms;
// each step of everybody's messages would wait for the turns of all who do that.
const yieldBytes = 8 << 10

func (s *Session) receive(p []byte, r *readScratch) error {
	f := &r.frame
	s.handling.Lock()
	defer s.handling.Unlock()
	s.flushes = &r.flushes
	defer func() { s.flushes = nil }()
	s.decoder.UseLimits(&s.broker.settings().limits.Frame)
	s.decoder.Feed(p)
	for {
		if s.failed || state(s.state.Load()) == stateEnding {
			return ErrClosed
		}
		ok, err := s.decoder.Next(f)
		if err == nil && !ok {
			if err = s.checkEarly(len(p)); err == nil {
				err = s.holdIncoming(s.decoder.Buffered())
			}
			if err == nil {
				if s.decoder.Partial() {
					s.arriving.note(s.lastRead.Load(), s.received.Load())
				}
				return nil
			}
		}
		s.arriving.end()
		if err == nil {
			err = s.handle(f)
		}
		if err != nil {
			s.fail(f, ok, err)
			return ErrClosed
		}
	}
}

// maxEarlyBytes is how much a peer may send before its CONNECT frame is whole, in addition to a
// header line of any length that is allowed: nothing is known of it yet.
const maxEarlyBytes = 64 << 10

// checkEarly bounds what is kept for a peer that is not connected.
func (s *Session) checkEarly(n int) error {
	if state(s.state.Load()) != stateConnecting {
		return nil
	}
	limit := maxEarlyBytes + s.broker.settings().limits.Frame.MaxHeaderLine
	if s.early += n; s.early > limit {
		return errorf(CodeNotConnected, "more than %d bytes came before the end of a CONNECT frame", limit)
	}
	return nil
}

// handle does what one frame asks for, and then confirms it.
func (s *Session) handle(f *frames.Frame) error {
	if state(s.state.Load()) == stateConnecting {
		return s.connect(f)
	}
	if f.Command != frames.SEND {
		s.flushes.start() // it may wait for other nodes, for a store or for a free place
	}
	out, err := s.dispatch(f)
	if err == nil && out == outcomeReceipt {
		s.confirm(f)
	}
	return err
}

// dispatch calls the handler of the frame's command.
func (s *Session) dispatch(f *frames.Frame) (outcome, error) {
	switch f.Command {
	case frames.SEND:
		return s.send(f)
	case frames.SUBSCRIBE:
		return s.subscribe(f)
	case frames.UNSUBSCRIBE:
		return s.unsubscribe(f)
	case frames.ACK, frames.NACK:
		return s.acknowledge(f)
	case frames.BEGIN:
		return s.begin(f)
	case frames.COMMIT:
		return s.commit(f)
	case frames.ABORT:
		return s.abort(f)
	case frames.DISCONNECT:
		s.disconnect(f)
		return outcomeConfirmed, nil
	case frames.CONNECT, frames.STOMP:
		return 0, errorf(CodeConnectedTwice, "the session is connected already")
	}
	return 0, errorf(CodeUnexpected, "%s is a frame for servers to send", f.Command)
}

func (s *Session) disconnect(f *frames.Frame) {
	var receipt []byte
	if id, ok := f.Headers.Lookup(frames.Receipt); ok {
		receipt = s.encode(frames.New(frames.RECEIPT, frames.ReceiptID, id))
	}
	s.ended.set(&endedByClient)
	s.answerReplays()
	s.receipts.afterPending(func() { s.finish(false, receipt, s.framing.Close(CloseNormal, "")) })
}

func (s *Session) encode(f *frames.Frame) []byte {
	return s.framing.Frame(nil, frames.Append(nil, f, max(s.version(), frames.V10)), true)
}

// fail ends the session for a frame that was wrong.
func (s *Session) fail(f *frames.Frame, whole bool, err error) {
	e := *protocolError(err)
	e.inSession(s.id)
	if whole && e.receipt == "" {
		e.receipt = strings.Clone(f.Get(frames.Receipt))
	}
	if whole && f.Command == frames.SUBSCRIBE {
		s.logRefused(f.Get(frames.Destination), &e)
	}
	s.failed = true
	// The RECEIPTs of what was accepted before come first.
	s.answerReplays()
	s.receipts.afterPending(func() { s.endWith(&e) })
}

// endWith ends the session with an ERROR frame, a log line and a count.
func (s *Session) endWith(e *Error) { s.end(e, s.framing.Close(e.CloseCode(), e.CloseReason())) }

// end ends the session, closing is what the transport says at the end. It is safe for
// concurrent use; the first call counts.
func (s *Session) end(e *Error, closing []byte) {
	if state(s.state.Load()) == stateEnding {
		return
	}
	var frame []byte
	if e != nil {
		message := e.Message
		if s.version() == 0 {
			// The client might take this for an escape: its version is not known yet.
			message = strings.ReplaceAll(message, `\`, "/")
		}
		frame = s.encode(e.frame(message))
	}
	if framing, ok := s.framing.(EventFraming); ok && e != nil {
		frame = problem(framing, e)
	}
	if state(s.state.Swap(int32(stateEnding))) == stateEnding {
		return
	}
	drop := e != nil && e.Code == CodeSlowConsumer
	if e != nil {
		s.report(e, s.outbox.sentAfter(drop, len(frame)+len(closing)))
	}
	s.outbox.end(drop, lingerTimeout, frame, closing)
	if e != nil {
		go s.release()
	}
}

// finish ends the session with last frames, unless it was ended before.
func (s *Session) finish(drop bool, last ...[]byte) {
	if state(s.state.Swap(int32(stateEnding))) != stateEnding {
		s.outbox.end(drop, lingerTimeout, last...)
		go s.release()
	}
}

// tooSlow ends the session of a consumer whose outbox is full. It is called
// from a publisher, which must not wait for it.
func (s *Session) tooSlow() {
	s.outbox.mu.Lock()
	overBudget := s.outbox.overBudget
	s.outbox.mu.Unlock()
	if overBudget {
		s.endWith(s.broker.memory.outboxes.excess())
		return
	}
	s.endWith(errorf(CodeSlowConsumer, "slow consumer: more than %d frames or %d bytes were waiting to be read", s.outbox.options.MaxFrames, s.outbox.options.MaxBytes))
}

// writeFailed is called when the connection cannot be written to any more.
func (s *Session) writeFailed(error) {
	s.state.Store(int32(stateEnding))
	_ = s.transport.Close() // the reader sees it, and detaches
}

// release lets go of all that the session has, which is free for others at once. What
// was queued of queues and not written goes back with the rest.
func (s *Session) release() {
	awaitAcknowledged(&s.outbox)
	s.handling.Lock()
	defer s.handling.Unlock()
	s.mu.Lock()
	n, all := s.subs.len(), slices.Collect(s.holders())
	s.subs, s.retired, s.transactions = subscriptions{}, nil, nil
	s.mu.Unlock()
	s.transactionBytes.clear()
	s.incomingBytes.clear()
	s.outbox.dropDeliveries()
	s.detachAll(all)
	s.broker.counters.subscriptions.Add(-int64(n))
	if s.usage != nil {
		s.broker.usage.unsubscribe(s.usage, n)
	}
}

// writeRest writes what is queued, and the answers that wait for the store, for a peer
// that has said all it had to say: the end of reading is not the end of writing.
func (s *Session) writeRest() {
	drained := s.outbox.drained()
	s.receipts.afterPending(func() { s.finish(false) })
	for {
		select {
		case <-drained:
			return
		case <-time.After(lingerTimeout):
			if s.outbox.writing.Load() == 0 {
				return
			} // a peer that reads slowly has more time; the sweeper ends one that takes nothing
		}
	}
}

// Detach ends the session because its connection has ended, for the given reason, which may be
// nil. io.EOF means that the peer has closed its sending side: it still gets queued data, within
// a bound. Detach is called once, by the goroutine that reads.
func (s *Session) Detach(reason error) {
	if s.detached.Swap(true) {
		return
	}
	if errors.Is(reason, io.EOF) {
		s.endTruncated(nil)
		s.answerReplays()
	}
	ended := state(s.state.Load()) == stateEnding
	s.release()
	switch {
	case ended || errors.Is(reason, io.EOF):
		s.writeRest()
	}
	s.state.Store(int32(stateEnding))
	s.outbox.abandon()
	s.logEnd(reason)
	if s.usage != nil {
		s.broker.usage.leave(s.user, s.usage)
	}
	s.broker.usage.close(s.address)
	_ = s.transport.Close()
	s.broker.registry.remove(s)
	s.traffic.sessions[versionIndex(s.version())].Add(-1)
	s.broker.counters.sessions.Add(-1)
}
