package broker

import (
	"crypto/rand"
	"strings"

	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// replyTo makes a reply-to:/temp-queue/<name> header of a SEND into a
// destination that only the receiver of the message can know: /reply/<token>. What
// is sent there comes to this session, on a subscription whose id is the header's
// value, as RabbitMQ does it. It ends with the session.
func (s *Session) replyTo(f *frames.Frame) error {
	value, ok := f.Headers.Lookup(HeaderReplyTo)
	if !ok || !strings.HasPrefix(value, destination.TempQueuePrefix) {
		return nil
	}
	if limit := s.broker.settings().limits.MaxDestination; len(value) > limit {
		return errorf(CodeDestination, "reply-to has %d bytes; the limit is %d", len(value), limit).of("destination")
	}
	if value == destination.TempQueuePrefix || destination.HasWildcard(value) || checkLength(value) != nil {
		return badDestination(value, "reply-to needs a name after "+destination.TempQueuePrefix)
	}
	name := subscriptionName(value, true, "")
	sub := s.subs.get(name)
	if sub == nil {
		value = strings.Clone(value)
		pattern, err := newReply()
		if err != nil {
			return err
		}
		sub = &subscription{session: s, id: value, named: true, destination: value, pattern: pattern, isReply: true}
		group, err := s.attach(name, sub)
		if err != nil {
			return err
		}
		s.flushInterest(group)
	}
	if !sub.isReply {
		return errorf(CodeSubscription, "reply-to %q is the id of another subscription", value)
	}
	for i := range f.Headers {
		if f.Headers[i].Name == HeaderReplyTo {
			f.Headers[i].Value = sub.pattern.String()
			break
		}
	}
	return nil
}

// newReply makes a destination that cannot be guessed.
func newReply() (destination.Pattern, error) {
	return destination.ParsePattern(destination.ReplyPrefix + rand.Text())
}
