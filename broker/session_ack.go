package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/frames"
)

// trackUnacked notes that a message of a client-acknowledged subscription goes out.
func (s *Session) trackUnacked(sub *subscription, messageID string) (number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliveries++
	sub.unacked.add(s.deliveries, messageID, s.broker.settings().limits.MaxUnacked)
	return s.deliveries
}

// headerRequeue is for NACK, as RabbitMQ has it: with false the message does not come again.
const headerRequeue = "requeue"

// acknowledge handles ACK and NACK. A queue loses the message or gets it back, or moves it to
// its dead letters. Topics take them and do not deliver again. What is gone already needs no
// acknowledgement: a client may not know yet that its subscription or its session
// before this one has ended.
func (s *Session) acknowledge(f *frames.Frame) (outcome, error) {
	if f.Command == frames.NACK && s.version() == frames.V10 {
		return 0, errorf(CodeUnexpected, "NACK requires STOMP 1.1 or later")
	}
	requeue, err := parseRequeue(f)
	if err != nil {
		return 0, err
	}
	sub, number, err := s.parseAckHeaders(f)
	if err != nil {
		return 0, err
	}
	if sub == nil {
		s.countStale(f)
	}
	op := operation{run: func() error { return nil }}
	switch {
	case sub == nil:
	case !requeue:
		to, err := sub.rejecter()
		if err != nil {
			return 0, err
		}
		op.run = func() error { s.reject(sub, number, to, nil); return nil }
		op.runConfirmed = func(done func(error)) { s.reject(sub, number, to, done) }
	case f.Command == frames.NACK:
		op.run = func() error { s.nack(sub, number); return nil }
	default:
		op.run = func() error { s.ack(sub, number, nil); return nil }
		if sub.consumer != nil {
			op.runConfirmed = func(done func(error)) { s.ack(sub, number, done) }
		}
	}
	if name, ok := f.Headers.Lookup(frames.Transaction); ok {
		return outcomeReceipt, s.buffer(name, op)
	}
	if receipt, ok := f.Headers.Lookup(frames.Receipt); ok && op.runConfirmed != nil {
		op.runConfirmed(s.receipts.reserve(receipt, 0, false).complete)
		return outcomePending, nil
	}
	return outcomeReceipt, op.run()
}

// parseRequeue reads whether the message of a NACK is to come again, as it is without the
// header. Python's clients write False.
func parseRequeue(f *frames.Frame) (bool, error) {
	value, ok := f.Headers.Lookup(headerRequeue)
	switch {
	case !ok || f.Command != frames.NACK || strings.EqualFold(value, "true"):
		return true, nil
	case strings.EqualFold(value, "false"):
		return false, nil
	}
	return false, errorf(CodeBadHeader, "%s %q is neither true nor false", headerRequeue, value)
}

// countStale counts a frame for what is gone already.
func (s *Session) countStale(f *frames.Frame) {
	s.broker.counters.stale.Add(1)
	header := func(name string) string { return truncate(f.Get(name), maxQuoted) }
	s.broker.log.Debug("a frame for what is gone already was confirmed", "command", f.Command, "id", header(frames.ID),
		"message", header(frames.MessageID), "subscription", header(frames.Subscription), "session", s.id)
}

// parseAckHeaders returns the delivery that the frame names, in the header of its version.
// The subscription is nil where the delivery is gone.
func (s *Session) parseAckHeaders(f *frames.Frame) (*subscription, uint64, error) {
	header := frames.ID
	if s.version() < frames.V12 {
		header = frames.MessageID
	}
	id, ok := f.Headers.Lookup(header)
	if !ok {
		return nil, 0, errorf(CodeMissingHeader, "%s needs the header %s in STOMP %s", f.Command, header, s.version())
	}
	name, named := f.Headers.Lookup(frames.Subscription)
	meant := func(sub *subscription) bool { return !named || sub.named && sub.id == name }
	if s.version() == frames.V12 {
		sub, number, err := s.findByAck(id, meant)
		switch {
		case err != nil:
			return nil, 0, errorf(CodeAck, "%s: %v", f.Command, err)
		case sub == nil && !strings.ContainsAny(id, "/-"):
			return nil, 0, errorf(CodeAck, "%s: no message with id %q waits for an acknowledgement; id is the ack header of a MESSAGE", f.Command, id)
		}
		return sub, number, nil
	}
	if !named && s.version() == frames.V11 {
		return nil, 0, errorf(CodeMissingHeader, "%s needs the header subscription in STOMP 1.1", f.Command)
	}
	sub, number := s.findLatest(knownID(id), meant)
	return sub, number, nil
}

// findByAck returns the delivery with an ack header.
func (s *Session) findByAck(ack string, meant func(*subscription) bool) (*subscription, uint64, error) {
	at := strings.LastIndexByte(ack, '/')
	number, err := strconv.ParseUint(ack[at+1:], 36, 64)
	if at < 0 || err != nil {
		return s.findOnlyHolder(knownID(ack), meant)
	}
	if ack[:at] != s.id {
		sub, number := s.findLatest(ack[:at], func(sub *subscription) bool { return sub.serial == number })
		return sub, number, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.holders() {
		if _, ok := sub.unacked.open[number]; ok && sub.ack != ackAuto {
			return sub, number, nil
		}
	}
	return nil, 0, nil
}

// findOnlyHolder serves 1.2 clients that name the message-id, with or without the
// subscription: where one subscription alone holds the message, it is clear what they
// mean. It fails where it is not clear which of several would lose the message.
func (s *Session) findOnlyHolder(messageID string, meant func(*subscription) bool) (holder *subscription, number uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	holders, delivers := 0, false
	for sub := range s.holders() {
		last, ok := sub.unacked.latest[messageID]
		if !ok || sub.ack == ackAuto || !meant(sub) {
			continue
		}
		holders++
		holder, number = sub, last
		delivers = delivers || sub.consumer != nil
	}
	switch {
	case holders < 2:
		return holder, number, nil
	case delivers:
		return nil, 0, fmt.Errorf("%d subscriptions hold the message %q; send the ack header of the MESSAGE as id", holders, truncate(messageID, maxQuoted))
	}
	return nil, 0, nil // of topics, where it has no effect
}

// findLatest returns the last delivery of a message that the session holds, of the
// subscriptions that are meant.
func (s *Session) findLatest(messageID string, meant func(*subscription) bool) (holder *subscription, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.holders() {
		if last, ok := sub.unacked.latest[messageID]; ok && last > number && sub.ack != ackAuto && meant(sub) {
			holder, number = sub, last
		}
	}
	return holder, number
}

// takeUnacked removes a delivery from what the session holds, and in client mode all before
// it on the subscription, and returns those of queues.
func (s *Session) takeUnacked(sub *subscription, number uint64) []*delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.wakeHeldLocked()
	sub.unacked.reached = max(sub.unacked.reached, number)
	if sub.ack == ackClient {
		return sub.unacked.takeUpTo(number)
	}
	if d, _ := sub.unacked.take(number); d != nil {
		return []*delivery{d}
	}
	return nil
}

// ack removes what was acknowledged from its queue. Where done is not nil it is called
// once the store has confirmed all of it.
func (s *Session) ack(sub *subscription, number uint64, done func(error)) {
	taken := s.takeUnacked(sub, number)
	done = completeAfter(len(taken), ackError, done)
	for _, d := range taken {
		d.settle()
		if d.reader != nil {
			sub.consumer.queue.uncounted.forget(d.Message.ID)
			d.reader.Ack(d.Delivery, done)
		} else if done != nil {
			done(nil)
		}
	}
	s.settle(sub, len(taken))
	s.broker.counters.acked.Add(int64(len(taken)))
}

// completeAfter returns what to call n times, after which done is called with the first
// error, of which wrap makes what the client learns. Without done it is nil.
func completeAfter(n int, wrap func(error) *Error, done func(error)) func(error) {
	if done == nil {
		return nil
	}
	if n == 0 {
		done(nil)
		return nil
	}
	var mu sync.Mutex
	var failed error
	return func(err error) {
		mu.Lock()
		n--
		if failed == nil {
			failed = err
		}
		last := n == 0
		mu.Unlock()
		if !last {
			return
		}
		if failed != nil {
			failed = wrap(failed)
		}
		done(failed)
	}
}

func ackError(err error) *Error {
	return &Error{Code: CodeUnavailable, Message: "the acknowledgement could not be confirmed; the message may come again", Cause: err, retryAfter: retryAfter}
}

// nack returns messages to their queue at once, in their order.
func (s *Session) nack(sub *subscription, number uint64) {
	taken := s.takeUnacked(sub, number)
	if len(taken) == 0 {
		return // a topic's, or acknowledged earlier in the transaction
	}
	s.broker.counters.nacked.Add(int64(len(taken)))
	sub.consumer.queue.requeue(taken)
	s.settle(sub, len(taken))
}

// reject gives messages that the client refuses for good to what takes them. Where done is
// not nil, it is called once all of that is confirmed.
func (s *Session) reject(sub *subscription, number uint64, to rejecter, done func(error)) {
	taken := s.takeUnacked(sub, number)
	done = completeAfter(len(taken), rejectError, done)
	if len(taken) == 0 {
		return // acknowledged earlier in the transaction
	}
	slices.SortStableFunc(taken, bySeq)
	to.reject(sub.consumer.queue, taken, done)
	s.settle(sub, len(taken))
	s.broker.counters.nacked.Add(int64(len(taken)))
}

// settle gives the queue back the credit of n messages, and forgets a
// subscription that was only kept for them.
func (s *Session) settle(sub *subscription, n int) {
	if sub.consumer == nil || n == 0 {
		return
	}
	sub.consumer.queue.returnCredit(sub.consumer, n)
	name := subscriptionName(sub.id, sub.named, sub.destination)
	if s.retired[name] != sub {
		return
	}
	s.mu.Lock()
	left := len(sub.unacked.open)
	if left == 0 {
		delete(s.retired, name)
	}
	s.mu.Unlock()
	if left == 0 {
		s.detach(sub)
	}
}
