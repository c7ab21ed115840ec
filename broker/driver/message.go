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
	// Set on messages in a dead-letter queue.
	HeaderDeadOrigin = "dead-letter-origin"
	HeaderDeadReason = "dead-letter-reason"
	HeaderDeadCount  = "dead-letter-count"
	// HeaderReplyTo is where the answer to a request goes. HeaderError is the code of a failure,
	// on a message that replaces an answer.
	HeaderReplyTo = "reply-to"
	HeaderError   = "error"
	// HeaderCode has the same value, under the name that ERROR frames use.
	HeaderCode = "code"
)

// CodeAppBusy is the code of requests for which the app servers have no capacity.
const CodeAppBusy = "app-busy"

// Message is one message on its way to subscribers. It is immutable once it is published, and any
// number of goroutines may share it.
type Message struct {
	// ID is the message-id.
	ID string
	// Destination is what subscribers see: the destination of the SEND, or /user/<rest> for a
	// user message.
	Destination string
	// Key is the destination by which the message is routed. For user messages it differs from
	// Destination, because it includes the user.
	Key string
	// User and Session are the sender's.
	User, Session string
	// ToSession narrows a user message to one session of the user.
	ToSession string
	// NoEcho keeps the message from the sender's own session.
	NoEcho bool
	// Timestamp is when the broker accepted it, in milliseconds since 1970.
	Timestamp int64
	// Headers are the sender's headers that pass through.
	Headers frames.Headers
	Body    []byte
	// Position is where a history keeps the message, or zero if none does.
	Position StreamPosition
	// Gap means that earlier messages are missing, which a history should have had.
	Gap bool
	// Dead says why a message is in a dead-letter queue. It is nil elsewhere.
	Dead *DeadLetter
}

// DeadLetter says where a message in a dead-letter queue comes from, and why.
type DeadLetter struct {
	Origin string // the destination of its queue
	Reason string
	Count  int // how often it was delivered
}

// IsStamped reports whether only the broker may set the header on a MESSAGE. The broker drops
// such headers from a client's SEND.
func IsStamped(name string) bool {
	switch name {
	case frames.Destination, frames.MessageID, frames.Subscription, frames.ContentLength, frames.Ack,
		HeaderUser, frames.Session, HeaderTimestamp, HeaderRedelivered, HeaderDeliveryCount, HeaderReplay,
		HeaderDeadOrigin, HeaderDeadReason, HeaderDeadCount:
		return true
	}
	return false
}

// AfterGap returns a copy of the message with Gap set. The message itself, which may be shared,
// does not change.
func (m *Message) AfterGap() *Message {
	if m.Gap {
		return m
	}
	noted := *m
	noted.Gap = true
	return &noted
}
