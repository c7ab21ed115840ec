package broker

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/stompbox/stompbox/frames"
)

// Names of headers that the broker stamps or understands beyond the
// specification's.
const (
	HeaderUser          = "user"
	HeaderTimestamp     = "timestamp"
	HeaderRedelivered   = "redelivered"
	HeaderDeliveryCount = "delivery-count"
	HeaderNoEcho        = "no-echo"
	HeaderReplyTo       = "reply-to"
	HeaderExpires       = "expires"
	HeaderPersistent    = "persistent"
	HeaderAutoDelete    = "auto-delete"
	HeaderDedupID       = "dedup-id"
	HeaderRetryAfter    = "retry-after"
	// What a SUBSCRIBE wants of a history, and what a MESSAGE says of it.
	HeaderLastEventID = "last-event-id"
	HeaderReplayLast  = "replay-last"
	HeaderReplay      = "replay"
	HeaderDurable     = "durable"
	// What a message in a dead-letter queue says of how it came there.
	HeaderDeadOrigin = "dead-letter-origin"
	HeaderDeadReason = "dead-letter-reason"
	HeaderDeadCount  = "dead-letter-count"
)

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
	Position Position
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

// isControl reports whether a SEND's header is an instruction to the broker
// that ends with the broker.
func isControl(name string) bool {
	switch name {
	case frames.Receipt, frames.Transaction, HeaderNoEcho:
		return true
	}
	return false
}

// passThrough returns the headers of a SEND that its subscribers see. It copies.
func passThrough(all frames.Headers) frames.Headers {
	n := 0
	for i := range all {
		if !IsStamped(all[i].Name) && !isControl(all[i].Name) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	kept := make(frames.Headers, 0, n)
	for _, h := range all {
		if !IsStamped(h.Name) && !isControl(h.Name) {
			kept = append(kept, h)
		}
	}
	return kept
}

// afterGap returns the message with a note that others before it are missing.
func (m *Message) afterGap() *Message {
	if m.Gap {
		return m
	}
	noted := *m
	noted.Gap = true
	return &noted
}

// isText reports whether the message can travel in a text frame: valid UTF-8,
// and no NUL in the body, at which some clients cut.
func (m *Message) isText() bool {
	return utf8.Valid(m.Body) && bytes.IndexByte(m.Body, 0) < 0
}

// appendRest appends all of the MESSAGE frame after the headers that differ
// between subscribers.
func (m *Message) appendRest(dst []byte, v frames.Version) []byte {
	dst = frames.AppendHeader(dst, frames.Destination, m.Destination, v)
	dst = frames.AppendHeader(dst, frames.MessageID, m.ID, v)
	if m.User != "" {
		dst = frames.AppendHeader(dst, HeaderUser, m.User, v)
	}
	if m.Session != "" {
		dst = frames.AppendHeader(dst, frames.Session, m.Session, v)
	}
	dst = append(dst, HeaderTimestamp...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, m.Timestamp, 10)
	dst = append(dst, '\n')
	if m.Gap {
		dst = append(dst, HeaderReplay+":incomplete\n"...)
	}
	if m.Dead != nil {
		dst = frames.AppendHeader(dst, HeaderDeadOrigin, m.Dead.Origin, v)
		dst = frames.AppendHeader(dst, HeaderDeadReason, m.Dead.Reason, v)
		dst = frames.AppendHeader(dst, HeaderDeadCount, strconv.Itoa(m.Dead.Count), v)
	}
	for _, h := range m.Headers {
		dst = frames.AppendHeader(dst, h.Name, h.Value, v)
	}
	return frames.AppendBody(dst, m.Body)
}
