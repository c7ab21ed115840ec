package driver

import (
	"github.com/stompbox/stompbox/frames"
)

// Names of headers of stored messages that only the broker sets.
const (
	HeaderUser          = "user"
	HeaderTimestamp     = "timestamp"
	HeaderRedelivered   = "redelivered"
	HeaderDeliveryCount = "delivery-count"
	// HeaderReplay says incomplete on a message before which others are missing.
	HeaderReplay = "replay"
	// What a message in a dead-letter queue says of how it came there.
	HeaderDeadOrigin = "dead-letter-origin"
	HeaderDeadReason = "dead-letter-reason"
	HeaderDeadCount  = "dead-letter-count"
	// HeaderReplyTo is where the answer to a request goes, and HeaderError is the code
	// of a failure, on a message in place of an answer.
	HeaderReplyTo = "reply-to"
	HeaderError   = "error"
	// HeaderCode has the same value, under the name that ERROR frames have it.
	HeaderCode = "code"
)

// CodeAppBusy is the code of requests that the app servers have no room for.
const CodeAppBusy = "app-busy"

// Message is one message on its way to subscribers. It is immutable once it was
// published, and may be shared by any number of goroutines.
type Message struct {
	// ID is the message-id.
	ID string
	// Destination is what subscribers read: the destination of the SEND, or
	// /user/<rest> of a user message.
	Destination string
	// Key is the destination that the message is routed by. It differs from
	// Destination for user messages, where it has the user in it.
	Key string
	// User and Session are the sender's.
	User, Session string
	// ToSession narrows a user message to one session of the user.
	ToSession string
	// NoEcho keeps the message from the sender's own session.
	NoEcho bool
	// Timestamp is when the broker took it, in milliseconds since 1970.
	Timestamp int64
	// Headers are the sender's headers that pass through.
	Headers frames.Headers
	Body    []byte
	// Position is where a history keeps the message; zero where none does.
	Position StreamPosition
	// Gap says that messages before this one are missing that a history should
	// have had.
	Gap bool
	// Dead says how a message came into a dead-letter queue, and is nil elsewhere.
	Dead *DeadLetter
}

// DeadLetter says where a message in a dead-letter queue comes from, and why.
type DeadLetter struct {
	Origin string // the destination of its queue
	Reason string
	Count  int // how often it was delivered
}

// IsStamped reports whether only the broker may set the header on a MESSAGE; what a
// client sends under such a name does not pass through.
func IsStamped(name string) bool {
	switch name {
	case frames.Destination, frames.MessageID, frames.Subscription, frames.ContentLength, frames.Ack,
		HeaderUser, frames.Session, HeaderTimestamp, HeaderRedelivered, HeaderDeliveryCount, HeaderReplay,
		HeaderDeadOrigin, HeaderDeadReason, HeaderDeadCount:
		return true
	}
	return false
}

// AfterGap returns the message with a note that others before it are missing. The
// message itself, which may be shared, stays as it is.
func (m *Message) AfterGap() *Message {
	if m.Gap {
		return m
	}
	noted := *m
	noted.Gap = true
	return &noted
}
