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
	"x-queue-name":              "subscribers that are to share messages consume a /queue; a durable subscription is made with durable:true and an id",
	"x-stream-offset":           "a history replays with last-event-id or replay-last",
	"x-stream-filter":           "a subscription gets all messages of its destination; subscribe to a narrower destination",
	"x-expires":                 "durable subscriptions that are not used are removed after history.durable_idle, and queues keep messages for max_age of queues.policies",
	"x-message-ttl":             "set max_age in queues.policies, or expires on the SEND",
	"x-max-length":              "set max_messages in queues.policies",
	"x-max-length-bytes":        "set max_bytes in queues.policies",
	"x-dead-letter-exchange":    "dead letters go to /queue/DLQ.<name>",
	"x-dead-letter-routing-key": "dead letters go to /queue/DLQ.<name>",
}

// unsupportedIfTrue are the same where their value is true.
var unsupportedIfTrue = map[string]string{
	"browser":                  "to look at a queue without consuming it, use GET /api/queues/peek or stompbox queue peek",
	"no-local":                 "set no-echo:true on the SEND",
	"activemq.noLocal":         "set no-echo:true on the SEND",
	HeaderNoEcho:               "set no-echo:true on the SEND",
	"activemq.retroactive":     "a history replays with last-event-id or replay-last",
	"activemq.exclusive":       insteadOfExclusive,
	"x-single-active-consumer": insteadOfExclusive,
}

const insteadOfExclusive = "all consumers of a queue share its messages; consume it from one connection"

// askedOfKind returns what to do instead of a header of SUBSCRIBE whose effect matters to
// some kinds of destinations.
func askedOfKind(kind destination.Kind, durable, autoDelete bool, name, value string) (instead string) {
	queue := kind == destination.Queue
	switch {
	case name == "exclusive" && queue && !autoDelete && strings.EqualFold(value, "true"):
		return insteadOfExclusive // with auto-delete:true it is RabbitMQ's way to make a queue for answers
	case name == "x-queue-type" && queue && value == "stream":
		return "to read what others read too, and from its beginning, subscribe to a topic that a history keeps"
	case name == HeaderPersistent && !queue && !durable && strings.EqualFold(value, "true"):
		return "a durable subscription is made with durable:true and an id"
	case name == "subscription-type":
		return otherRouting(queue, value)
	}
	return ""
}

// otherRouting is for Artemis's names of what a prefix says here.
func otherRouting(queue bool, value string) (instead string) {
	switch {
	case queue && strings.EqualFold(value, "MULTICAST"):
		return "/queue/ gives each message to one consumer; /topic/ gives it to all"
	case !queue && strings.EqualFold(value, "ANYCAST"):
		return "/topic/ gives each message to all subscribers; /queue/ gives it to one"
	}
	return ""
}

// unsupportedOfSend returns what to do instead of a header of SEND by which other brokers'
// clients ask for what this one does not do.
func unsupportedOfSend(kind destination.Kind, name, value string) (instead string) {
	switch name {
	case "AMQ_SCHEDULED_DELAY", "AMQ_SCHEDULED_PERIOD", "AMQ_SCHEDULED_REPEAT", "AMQ_SCHEDULED_CRON", "_AMQ_SCHED_DELIVERY", "x-delay":
		return "messages are delivered at once; send it when it is due"
	case "JMSXGroupID", "_AMQ_GROUP_ID":
		return "all consumers of a queue share its messages; use one queue for each group"
	case "_AMQ_DUPL_ID", "x-deduplication-header":
		return "set dedup-id"
	case "ActiveMQ.Retain":
		if strings.EqualFold(value, "true") {
			return "a history keeps messages, and replay-last:1 of a SUBSCRIBE gets the last one"
		}
	case "destination-type":
		if kind == destination.Topic || kind == destination.Queue {
			return otherRouting(kind == destination.Queue, value)
		}
	}
	return ""
}

// checkAskedOfSend refuses a SEND that asks for what the broker does not do.
func checkAskedOfSend(kind destination.Kind, f *frames.Frame) error {
	for _, h := range f.Headers {
		if instead := unsupportedOfSend(kind, h.Name, h.Value); instead != "" {
			return errorf(CodeBadHeader, "the header %q of a SEND is not supported: %s", h.Name, instead)
		}
	}
	return checkBooleans(f, HeaderNoEcho)
}

// checkAsked refuses a SUBSCRIBE that asks for what destinations of its kind cannot do: to
// confirm it would have its client rely on that.
func (s *Session) checkAsked(kind destination.Kind, f *frames.Frame) error {
	if err := checkBooleans(f, HeaderDurable, HeaderAutoDelete, HeaderNoEcho, HeaderPersistent); err != nil {
		return err
	}
	durable, autoDelete := isTrue(f, HeaderDurable), isTrue(f, HeaderAutoDelete)
	for _, h := range f.Headers {
		instead := unsupported[h.Name]
		if instead == "" && strings.EqualFold(h.Value, "true") {
			instead = unsupportedIfTrue[h.Name]
		}
		if instead == "" {
			instead = askedOfKind(kind, durable, autoDelete, h.Name, h.Value)
		}
		if instead != "" {
			return errorf(CodeBadHeader, "the header %q of a SUBSCRIBE is not supported: %s", h.Name, instead)
		}
	}
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
