package broker

import (
	"strings"
	"sync"

	"github.com/stompbox/stompbox/frames"
)

// remember notes that a message of a client-acknowledged subscription goes out.
func (s *Session) trackUnacked(sub *subscription, messageID string) {
	s.mu.Lock()
	sub.unacked.add(messageID, s.broker.limits.MaxUnacked)
	s.mu.Unlock()
}

// acknowledge handles ACK and NACK. A queue loses the message or gets it back.
// Topics take them and do not deliver again; an unknown id is an error all the same.
func (s *Session) acknowledge(f *frames.Frame) error {
	if f.Command == frames.NACK && s.version() == frames.V10 {
		return errorf(CodeUnexpected, "NACK exists since STOMP 1.1")
	}
	id, sub, err := s.parseAckHeaders(f)
	if err != nil {
		return err
	}
	one, err := s.findUnacked(f.Command, id, sub)
	if err != nil || one == nil {
		return err
	}
	settle := func(id string) { s.ack(one, id, nil) }
	if f.Command == frames.NACK {
		settle = func(id string) { s.nack(one, id) }
	}
	if name, ok := f.Headers.Lookup(frames.Transaction); ok {
		id := strings.Clone(id)
		return s.buffer(name, operation{run: func() error { settle(id); return nil }})
	}
	if receipt, ok := f.Headers.Lookup(frames.Receipt); ok && f.Command == frames.ACK && one.consumer != nil {
		s.ack(one, id, s.receipts.reserve(receipt, 0))
		return errLater
	}
	settle(id)
	return nil
}

// acknowledged returns the id that the frame names, in the way of its version.
// Where the version names the subscription too, sub is it.
func (s *Session) parseAckHeaders(f *frames.Frame) (id string, sub *subscription, err error) {
	header := frames.ID
	if s.version() < frames.V12 {
		header = frames.MessageID
	}
	id, ok := f.Headers.Lookup(header)
	if !ok {
		return "", nil, errorf(CodeMissingHeader, "%s needs the header %s in STOMP %s", f.Command, header, s.version())
	}
	if s.version() != frames.V11 {
		return id, nil, nil
	}
	name, ok := f.Headers.Lookup(frames.Subscription)
	if !ok {
		return "", nil, errorf(CodeMissingHeader, "%s needs the header subscription in STOMP 1.1", f.Command)
	}
	if sub = s.subs[subscriptionName(name, true, "")]; sub == nil {
		sub = s.retired[subscriptionName(name, true, "")]
	}
	if sub == nil {
		return "", nil, errorf(CodeAck, "%s: there is no subscription with id %q", f.Command, name)
	}
	return id, sub, nil
}

// holder returns the subscription that waits for an acknowledgement of id. It
// returns nil without an error where the message may be one that was forgotten.
func (s *Session) findUnacked(command, id string, sub *subscription) (*subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	forgot := false
	for _, subs := range []map[string]*subscription{s.subs, s.retired} {
		for _, one := range subs {
			if (sub != nil && one != sub) || one.ack == ackAuto {
				continue
			}
			if _, ok := one.unacked.open[id]; ok {
				return one, nil
			}
			forgot = forgot || one.unacked.forgotten
		}
	}
	if forgot {
		return nil, nil
	}
	return nil, errorf(CodeAck, "%s: no message with id %q waits for an acknowledgement", command, id)
}

// ack removes what was acknowledged from its queue. With an answer it resolves
// that once the store has confirmed all of it.
func (s *Session) ack(sub *subscription, id string, a *pendingReceipt) {
	var one [1]*delivery
	var taken []*delivery
	s.mu.Lock()
	if sub.ack == ackClient {
		taken, _ = sub.unacked.takeUpTo(id)
	} else if d, _ := sub.unacked.take(id); d != nil {
		one[0] = d
		taken = one[:]
	}
	s.mu.Unlock()
	done := a.completeAfter(len(taken))
	for _, d := range taken {
		if d.reader != nil {
			d.reader.Ack(d.Delivery, done)
		} else if done != nil {
			done(nil)
		}
	}
	s.settle(sub, len(taken))
	s.broker.counters.acked.Add(int64(len(taken)))
}

// onceAll returns what to call n times, after which the answer is resolved with
// the first error. Without an answer it is nil.
func (a *pendingReceipt) completeAfter(n int) func(error) {
	if a == nil {
		return nil
	}
	if n == 0 {
		a.complete(nil)
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
			failed = &Error{Code: CodeUnavailable, Message: "the acknowledgement could not be confirmed; the message may come again", Cause: failed, retryAfter: retryAfter}
		}
		a.complete(failed)
	}
}

// nack returns a message to its queue at once.
func (s *Session) nack(sub *subscription, id string) {
	s.mu.Lock()
	d, _ := sub.unacked.take(id)
	s.mu.Unlock()
	if d == nil {
		return // a topic's, or acknowledged earlier in the transaction
	}
	s.broker.counters.nacked.Add(1)
	sub.consumer.queue.requeue(d)
	s.settle(sub, 1)
}

// settled tells the queue that the client holds n messages less, and forgets a
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
	s.mu.Unlock()
	if left == 0 {
		delete(s.retired, name)
		s.detach(sub)
	}
}
