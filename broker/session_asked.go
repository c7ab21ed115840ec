package broker

import (
	"strings"

	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// unsupported are headers of SUBSCRIBE by which other brokers' clients ask for what this one
// does not do, where to ignore them would deliver other messages than they expect, and what to
// do instead. Headers that only tune a broker are ignored.
var unsupported = map[string]string{
	"selector":                  "selectors are not supported; subscribe to a narrower destination or pattern",
	"activemq.subscriptionName": "a durable subscription is made with durable:true and an id",
	"activemq.subcriptionName":  "a durable subscription is made with durable:true and an id", // as ActiveMQ spells it
	"durable-subscription-name": "a durable subscription is made with durable:true and an id",
	"durable-subscriber-name":   "a durable subscription is made with durable:true and an id",
	"x-stream-offset":           "a history replays with last-event-id or replay-last",
	"x-single-active-consumer":  "all consumers of a queue share its messages; consume it from one connection",
	"x-message-ttl":             "set max_age in queues.policies, or expires on the SEND",
	"x-max-length":              "set max_messages in queues.policies",
	"x-max-length-bytes":        "set max_bytes in queues.policies",
	"x-dead-letter-exchange":    "dead letters go to /queue/DLQ.<name>",
	"x-dead-letter-routing-key": "dead letters go to /queue/DLQ.<name>",
}

// unsupportedIfTrue are the same where their value is true.
var unsupportedIfTrue = map[string]string{
	"browser":          "to look at a queue without consuming it, use GET /api/queues/peek or stompbox queue peek",
	"no-local":         "set no-echo:true on the SEND",
	"activemq.noLocal": "set no-echo:true on the SEND",
}

// checkAsked refuses a SUBSCRIBE that asks for what destinations of its kind cannot do: to
// confirm it would have its client rely on that.
func (s *Session) checkAsked(kind destination.Kind, f *frames.Frame) error {
	for _, h := range f.Headers {
		instead, ok := unsupported[h.Name]
		if !ok && strings.EqualFold(h.Value, "true") {
			instead, ok = unsupportedIfTrue[h.Name]
		}
		if ok {
			return errorf(CodeBadHeader, "the header %q of a SUBSCRIBE is not supported: %s", h.Name, instead)
		}
	}
	if err := checkBooleans(f, HeaderDurable, HeaderAutoDelete); err != nil {
		return err
	}
	durable := isTrue(f, HeaderDurable)
	switch kind {
	case destination.Queue:
		if durable && isTrue(f, HeaderAutoDelete) {
			return errorf(CodeBadHeader, "durable:true and auto-delete:true contradict each other")
		}
		if durable && s.broker.settings().queues.transient(f.Get(frames.Destination), f) {
			return errorf(CodeBadHeader, "durable:true does not go with a transient queue, which keeps nothing; see queues.transient")
		}
		return refuseReplay(f, "a queue has no past: it keeps what was not consumed")
	case destination.App:
		if durable {
			return errorf(CodeBadHeader, "durable:true does not go with a destination of app servers: nothing is kept for a subscription to it")
		}
		if isFalse(f, HeaderAutoDelete) {
			return errorf(CodeBadHeader, "auto-delete:false does not go with a destination of app servers: nothing is kept for a subscription to it")
		}
		return refuseReplay(f, "a destination of app servers has no past")
	}
	if !durable && isFalse(f, HeaderAutoDelete) {
		return errorf(CodeBadHeader, "auto-delete:false keeps nothing of a topic by itself; add durable:true for a durable subscription, or leave it out")
	}
	return nil
}

func refuseReplay(f *frames.Frame, why string) error {
	for _, header := range []string{HeaderLastEventID, HeaderReplayLast} {
		if _, ok := f.Headers.Lookup(header); ok {
			return errorf(CodeBadHeader, "%s goes with a topic that a history keeps; %s", header, why)
		}
	}
	return nil
}

func isFalse(f *frames.Frame, header string) bool {
	value, ok := f.Headers.Lookup(header)
	return ok && strings.EqualFold(value, "false")
}

// checkBooleans refuses values that are neither true nor false: they would count as absent.
func checkBooleans(f *frames.Frame, headers ...string) error {
	for _, header := range headers {
		value, ok := f.Headers.Lookup(header)
		if ok && value != "" && !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return errorf(CodeBadHeader, "the header %s has to be true or false, not %q", header, value)
		}
	}
	return nil
}
