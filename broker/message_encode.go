package broker

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// Names of headers that the broker stamps or understands beyond the
// specification's.
const (
	HeaderNoEcho     = "no-echo"
	HeaderReplyTo    = driver.HeaderReplyTo
	HeaderExpires    = "expires"
	HeaderPersistent = "persistent"
	HeaderAutoDelete = "auto-delete"
	HeaderDedupID    = "dedup-id"
	HeaderRetryAfter = "retry-after"
	// What a SUBSCRIBE wants of a history, and what a MESSAGE says of it.
	HeaderLastEventID = "last-event-id"
	HeaderReplayLast  = "replay-last"

	HeaderDurable = "durable"
)

// isControl reports whether a SEND's header is an instruction to the broker
// that ends with the broker.
func isControl(name string) bool {
	switch name {
	case frames.Receipt, frames.Transaction, HeaderNoEcho:
		return true
	}
	return isCredential(name)
}

// isCredential reports whether a header is one that relays forward from the frames of
// their clients, and that is a secret of theirs. HTTP's names have no case.
func isCredential(name string) bool {
	switch len(name) {
	case len(frames.Login):
		return strings.EqualFold(name, frames.Login)
	case len(frames.Passcode):
		return strings.EqualFold(name, frames.Passcode)
	case len(authorization):
		return strings.EqualFold(name, authorization)
	}
	return false
}

// authorization is a header of CONNECT, in any case.
const authorization = "Authorization"

// passThrough returns the headers of a SEND that its subscribers see. It copies.
func passThrough(all frames.Headers) frames.Headers {
	n := 0
	for i := range all {
		if !driver.IsStamped(all[i].Name) && !isControl(all[i].Name) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	kept := make(frames.Headers, 0, n)
	for _, h := range all {
		if !driver.IsStamped(h.Name) && !isControl(h.Name) {
			kept = append(kept, h)
		}
	}
	return kept
}

// isText reports whether the message can travel in a text frame: valid UTF-8,
// and no NUL in the body, at which some clients cut.
func isText(m *driver.Message) bool {
	return utf8.Valid(m.Body) && bytes.IndexByte(m.Body, 0) < 0
}

// appendRest appends all of the MESSAGE frame after the headers that differ
// between subscribers.
func appendRest(dst []byte, m *driver.Message, v frames.Version) []byte {
	dst = frames.AppendHeader(dst, frames.Destination, m.Destination, v)
	dst = frames.AppendHeader(dst, frames.MessageID, m.ID, v)
	if m.User != "" {
		dst = frames.AppendHeader(dst, driver.HeaderUser, m.User, v)
	}
	if m.Session != "" {
		dst = frames.AppendHeader(dst, frames.Session, m.Session, v)
	}
	dst = append(dst, driver.HeaderTimestamp...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, m.Timestamp, 10)
	dst = append(dst, '\n')
	if m.Gap {
		dst = append(dst, driver.HeaderReplay+":incomplete\n"...)
	}
	if m.Dead != nil {
		dst = frames.AppendHeader(dst, driver.HeaderDeadOrigin, m.Dead.Origin, v)
		dst = frames.AppendHeader(dst, driver.HeaderDeadReason, m.Dead.Reason, v)
		dst = frames.AppendHeader(dst, driver.HeaderDeadCount, strconv.Itoa(m.Dead.Count), v)
	}
	for _, h := range m.Headers {
		dst = frames.AppendHeader(dst, h.Name, h.Value, v)
	}
	return frames.AppendBody(dst, m.Body)
}
