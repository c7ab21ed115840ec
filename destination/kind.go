package destination

import (
	"errors"
	"strings"
)

// Kind is what a destination begins with. It decides what becomes of a SEND and of
// a SUBSCRIBE.
type Kind uint8

// The kinds of destinations. The zero value is none of them.
const (
	Topic     Kind = iota + 1 // every subscriber gets the message
	Queue                     // one consumer gets it
	User                      // the sessions of one user get it
	App                       // one app server gets it
	Reply                     // the sender of one request gets it
	TempQueue                 // a reply-to that the broker replaces
	Token                     // takes fresh tokens
)

// The prefixes of the kinds.
const (
	TopicPrefix     = "/topic/"
	QueuePrefix     = "/queue/"
	UserPrefix      = "/user/"
	AppPrefix       = "/app/"
	ReplyPrefix     = "/reply/"
	TempQueuePrefix = "/temp-queue/"

	// TokenDestination takes fresh tokens.
	TokenDestination = "/session/token"
	// ReservedPrefix begins the topics that are the broker's own. Wildcards do not
	// match them.
	ReservedPrefix = "/topic/$"
	// DeadLetterPrefix begins the name of a queue's dead-letter queue:
	// /queue/DLQ.orders takes what /queue/orders gave up on.
	DeadLetterPrefix = "/queue/DLQ."
)

var prefixes = []struct {
	prefix string
	kind   Kind
}{
	{TopicPrefix, Topic}, {QueuePrefix, Queue}, {UserPrefix, User}, {AppPrefix, App},
	{ReplyPrefix, Reply}, {TempQueuePrefix, TempQueue},
}

// KindOf returns the kind of a destination. The error says what is wrong with one
// that has none; it does not name the destination.
func KindOf(name string) (Kind, error) {
	if name == TokenDestination {
		return Token, nil
	}
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(name, p.prefix)
		if ok && rest != "" {
			return p.kind, nil
		}
		if ok || name+"/" == p.prefix {
			return 0, errors.New("it has no name after " + p.prefix)
		}
	}
	return 0, errors.New("it has to begin with /topic/, /queue/, /user/ or /app/")
}

// IsReserved reports whether a topic is one of the broker's own.
func IsReserved(name string) bool { return strings.HasPrefix(name, ReservedPrefix) }
