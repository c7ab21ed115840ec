package broker

import "github.com/stompbox/stompbox/frames"

// remember notes that a message of a client-acknowledged subscription goes out.
func (s *Session) remember(sub *subscription, messageID string) {
	s.mu.Lock()
	sub.unacked.add(messageID, s.broker.limits.MaxUnacked)
	s.mu.Unlock()
}

// acknowledge handles ACK and NACK. Topics take them and do not deliver again;
// an unknown id is an error all the same.
func (s *Session) acknowledge(f *frames.Frame) error {
	if f.Command == frames.NACK && s.version() == frames.V10 {
		return errorf(CodeUnexpected, "NACK exists since STOMP 1.1")
	}
	command := f.Command
	id, sub, err := s.acknowledged(f)
	if err != nil {
		return err
	}
	if name, ok := f.Headers.Lookup(frames.Transaction); ok {
		return s.inTransaction(name, 0, func() error { return s.settle(command, id, sub) })
	}
	return s.settle(command, id, sub)
}

// acknowledged returns the id that the frame names, in the way of its version.
// Where the version names the subscription too, sub is it.
func (s *Session) acknowledged(f *frames.Frame) (id string, sub *subscription, err error) {
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
		return "", nil, errorf(CodeAck, "%s: there is no subscription with id %q", f.Command, name)
	}
	return id, sub, nil
}

// settle takes an acknowledgement into account.
func (s *Session) settle(command, id string, sub *subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	forgot := false
	for _, one := range s.subs {
		if sub != nil && one != sub {
			continue
		}
		if one.unacked.ack(id, one.ack == ackClient && command == frames.ACK) {
			return nil
		}
		forgot = forgot || one.unacked.forgot
	}
	if forgot {
		return nil // it may be one of those that are not remembered
	}
	return errorf(CodeAck, "%s: no message with id %q waits for an acknowledgement", command, id)
}
