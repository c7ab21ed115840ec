package broker

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
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
	// HeaderCode is the code of an ERROR, or of a MESSAGE that reports a failure.
	HeaderCode = driver.HeaderCode
	// What a SUBSCRIBE requests from a history, and what a MESSAGE reports about it.
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
// their clients, and that is a secret of theirs. HTTP's names have no case, and STOMP keeps the
// spaces around a name.
func isCredential(name string) bool {
	name = strings.TrimSpace(name)
	switch len(name) {
	case len(frames.Login):
		return strings.EqualFold(name, frames.Login)
	case len(frames.Passcode):
		return strings.EqualFold(name, frames.Passcode)
	case len(authorization):
		return strings.EqualFold(name, authorization)
	case len(proxyAuthorization):
		return strings.EqualFold(name, proxyAuthorization)
	case len(cookie):
		return strings.EqualFold(name, cookie)
	}
	return false
}

// Credentials of HTTP, which a relay may have of a handshake.
const (
	proxyAuthorization = "Proxy-Authorization"
	cookie             = "Cookie"
)

// authorization is a header of CONNECT, in any case.
const authorization = "Authorization"

// passThrough returns the headers of a SEND that its subscribers see, and how many bytes
// those are that they do not. It copies.
func passThrough(all frames.Headers) (kept frames.Headers, stripped int) {
	n := 0
	for i := range all {
		if isPassed(all[i].Name) {
			n++
		} else {
			stripped += len(all[i].Name) + len(all[i].Value)
		}
	}
	if n == 0 {
		return nil, stripped
	}
	kept = make(frames.Headers, 0, n)
	for _, h := range all {
		if isPassed(h.Name) {
			kept = append(kept, h)
		}
	}
	return kept, stripped
}

func isPassed(name string) bool { return !driver.IsStamped(name) && !isControl(name) }

// maxStripped is how many bytes of headers that do not pass through may stay in memory
// with a message: all that is of one frame stays as long as a part of it does.
const maxStripped = 1 << 10

// detachFrame copies what a message has of its frame, so that the rest can go.
func detachFrame(m *driver.Message) {
	m.Destination, m.Key, m.Body = strings.Clone(m.Destination), strings.Clone(m.Key), bytes.Clone(m.Body)
	for i, h := range m.Headers {
		m.Headers[i] = frames.Header{Name: strings.Clone(h.Name), Value: strings.Clone(h.Value)}
	}
}

// encoding is what makes the bytes of a topic's message differ between subscribers.
type encoding struct {
	framing Framing
	id      string
	version frames.Version
	named   bool
	place   string // the name in the message-id, of histories' messages
	serial  uint64 // the subscription's, where MESSAGE has an ack header
	// withoutEventID leaves out the id of an event, which differs between the clients of
	// streams with several destinations.
	withoutEventID bool
}

func (sub *subscription) encoding() encoding {
	s := sub.session
	if s.stream {
		return encoding{framing: s.framing, place: sub.place, withoutEventID: s.outbox.eventIDs.several()}
	}
	e := encoding{framing: s.framing, id: sub.id, version: s.version(), named: sub.named, place: sub.place}
	if sub.ack != ackAuto && e.version == frames.V12 {
		e.serial = sub.serial
	}
	return e
}

// encode makes a MESSAGE in wire form. The delivery is that of a queue, and nil for a
// topic's message. The tail, by [appendTail], is what all subscribers with one version
// have in common; it is made where it is nil.
func (e *encoding) encode(scratch *[]byte, m *driver.Message, d *delivery, tail []byte, text bool) []byte {
	b := frames.AppendCommand((*scratch)[:0], frames.MESSAGE)
	if e.named {
		b = frames.AppendHeader(b, frames.Subscription, e.id, e.version)
	}
	if e.serial != 0 {
		b = e.appendAck(b, m, d)
	}
	if d != nil {
		b = d.appendCounts(b)
	}
	b = frames.AppendHeader(b, frames.MessageID, idFor(m, e.place), e.version)
	if tail == nil {
		b = appendTail(b, m, e.version)
	} else {
		b = append(b, tail...)
	}
	*scratch = b
	return e.framing.Frame(make([]byte, 0, len(b)+16), b, text)
}

// appendAck appends the header by which a 1.2 client acknowledges. That of a queue's
// message has the session and the delivery in it, so that it is not taken for one of a
// later session. A subscription gets a topic's message once, so all sessions with like
// subscriptions share its header, as they share the bytes of the frame.
func (e *encoding) appendAck(b []byte, m *driver.Message, d *delivery) []byte {
	if d == nil {
		return frames.AppendHeader(b, frames.Ack, m.ID+"/"+strconv.FormatUint(e.serial, 36), e.version)
	}
	b = append(b, frames.Ack+":"...)
	b = append(append(b, d.sub.session.id...), '/')
	return append(strconv.AppendUint(b, d.number, 36), '\n')
}

func (d *delivery) appendCounts(b []byte) []byte {
	if d.Redelivered || d.Count+d.again > 1 {
		b = append(b, driver.HeaderRedelivered+":true\n"...)
	}
	b = append(b, driver.HeaderDeliveryCount+":"...)
	return append(strconv.AppendInt(b, int64(d.Count+d.again), 10), '\n')
}

var scratches = sync.Pool{New: func() any { return new([]byte) }}

// encodeDelivery makes the MESSAGE of one delivery of a queue.
func encodeDelivery(sub *subscription, d *delivery) []byte {
	scratch := scratches.Get().(*[]byte)
	e := sub.encoding()
	wire := e.encode(scratch, d.Message, d, nil, isText(d.Message))
	if cap(*scratch) <= maxScratch {
		scratches.Put(scratch)
	}
	return wire
}

// encodeFor makes the MESSAGE of a topic for one subscription, shared with no other.
func encodeFor(sub *subscription, m *driver.Message) []byte {
	f := newFanout(m)
	defer f.release()
	return f.encode(sub)
}

// encodeEvent makes the event of a message for streams.
func encodeEvent(scratch *[]byte, framing EventFraming, m *driver.Message, place string, withID bool) []byte {
	b, id := (*scratch)[:0], idFor(m, place)
	if m.Gap {
		b = framing.Notice(b, EventReplayIncomplete, []byte(m.Destination))
	}
	b = framing.Event(b, m, id)
	if withID {
		b = framing.EventID(b, id)
	}
	*scratch = b
	return append(make([]byte, 0, len(b)), b...)
}

// maxScratch is the largest buffer that is kept for the next message.
const maxScratch = 64 << 10

// isText reports whether the message can travel in a text frame: valid UTF-8,
// and no NUL in the body, at which some clients cut.
func isText(m *driver.Message) bool {
	return utf8.Valid(m.Body) && bytes.IndexByte(m.Body, 0) < 0
}

// appendTail appends all of the MESSAGE frame after the headers that differ
// between subscribers.
func appendTail(dst []byte, m *driver.Message, v frames.Version) []byte {
	dst = frames.AppendHeader(dst, frames.Destination, m.Destination, v)
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
