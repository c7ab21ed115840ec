package relay

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// Headers that only nodes of stompbox set. No header of a client ever travels under
// one of these names, or under one that means something to NATS: see packed.
const (
	headerPacked    = "stompbox-headers" // the client's headers; only messages of nodes have it
	headerToSession = "stompbox-session" // narrows a user message
	headerNoEcho    = "stompbox-no-echo" // not to the sender's session
	headerEncoded   = "stompbox-encoded" // names of headers whose values are percent-encoded

	// headerKey is the routing key. Nodes before stompbox-headers set it on all
	// messages, and know requests of nodes by it.
	headerKey = "stompbox-key"
)

// encode makes the NATS message of m. What the broker stamped travels under its own
// names, the client's headers as stompbox-headers lists them.
func encode(prefix string, m *driver.Message) *nats.Msg {
	h := make(nats.Header, len(m.Headers)+9)
	e := stampEncoder{header: h}
	e.set(frames.Destination, m.Destination)
	e.set(frames.MessageID, m.ID)
	h[driver.HeaderTimestamp] = []string{strconv.FormatInt(m.Timestamp, 10)}
	e.setSome(driver.HeaderUser, m.User)
	e.setSome(frames.Session, m.Session)
	e.setSome(headerToSession, m.ToSession)
	if m.NoEcho {
		h[headerNoEcho] = []string{"true"}
	}
	if m.Dead != nil {
		e.set(driver.HeaderDeadOrigin, m.Dead.Origin)
		e.set(driver.HeaderDeadReason, m.Dead.Reason)
		e.set(driver.HeaderDeadCount, strconv.Itoa(m.Dead.Count))
	}
	if len(e.encoded) > 0 {
		h[headerEncoded] = []string{strings.Join(e.encoded, ",")}
	}
	h[headerVersion] = versionWritten
	h[headerPacked] = []string{pack(h, m.Headers)}
	return &nats.Msg{Subject: Subject(prefix, m.Key), Header: h, Data: m.Body}
}

// stampEncoder sets what the broker stamps.
type stampEncoder struct {
	header  nats.Header
	encoded []string
}

func (e *stampEncoder) set(name, value string) {
	if !survives(value) {
		e.encoded = append(e.encoded, name)
		value = escape(value, isValueByte)
	}
	e.header[name] = []string{value}
}

func (e *stampEncoder) setSome(name, value string) {
	if value != "" {
		e.set(name, value)
	}
}

// origin says whose word the headers of a NATS message are.
type origin uint8

const (
	fromNative origin = iota // any program that may publish on the subject
	fromNode                 // a node
	fromFormer               // a node before stompbox-headers, or what it stored
)

func originOf(h nats.Header) origin {
	switch {
	case len(h[headerPacked]) > 0:
		return fromNode
	case len(h[headerKey]) > 0:
		return fromFormer
	}
	return fromNative
}

// decode makes the message of a NATS message. Its routing key is that of the subject.
// What is missing is made up: an id from nextID, the time from the clock. Of a native
// program that is no node, it takes what docs/nats.md says and nothing else.
func decode(prefix string, msg *nats.Msg, nextID func() string) (*driver.Message, bool) {
	return decodeStored(prefix, msg, time.Time{}, nextID)
}

// decodeStored is decode for what a stream has stored at some time, which is that of a message
// without a time of its own, however often it is delivered.
func decodeStored(prefix string, msg *nats.Msg, stored time.Time, nextID func() string) (*driver.Message, bool) {
	key, ok := Destination(prefix, msg.Subject)
	if !ok {
		return nil, false
	}
	m := &driver.Message{Key: destination.Canonical(key), Destination: shownDestination(key), Body: msg.Data}
	d := stampDecoder{header: msg.Header, origin: originOf(msg.Header)}
	if m.ID, ok = d.take(frames.MessageID); !ok || d.origin == fromNative && !isMessageID(m.ID) {
		m.ID = nextID()
	}
	stamp, _ := d.take(driver.HeaderTimestamp)
	var err error
	if m.Timestamp, err = strconv.ParseInt(stamp, 10, 64); err != nil {
		if stored.IsZero() {
			stored = time.Now()
		}
		m.Timestamp = stored.UnixMilli()
	}
	m.User, _ = d.take(driver.HeaderUser)
	switch d.origin {
	case fromNative:
		m.Headers = nativeHeaders(msg.Header)
	case fromFormer:
		d.takeStamped(m)
		m.Headers = formerHeaders(&d)
	case fromNode:
		d.takeStamped(m)
		m.Headers = unpack(msg.Header)
	}
	return m, true
}

// maxNativeID is how long a message-id of a native program may be in bytes.
const maxNativeID = 512

// isMessageID reports whether a native program's message-id can be one: it ends no line of an
// event, and no id of a list of them.
func isMessageID(id string) bool {
	return id != "" && len(id) <= maxNativeID && survives(id) && !strings.Contains(id, ",")
}

// shownDestination is what the subscribers of a routing key read.
func shownDestination(key string) string {
	rest, isUser := strings.CutPrefix(key, "/user/")
	if !isUser {
		return key
	}
	_, own, _ := strings.Cut(rest, "/")
	return "/user/" + own
}

// stampDecoder reads what the broker stamped.
type stampDecoder struct {
	header nats.Header
	origin origin
}

// takeStamped reads what nodes alone may say.
func (d *stampDecoder) takeStamped(m *driver.Message) {
	if shown, ok := d.take(frames.Destination); ok {
		m.Destination = shown
	}
	m.Session, _ = d.take(frames.Session)
	m.ToSession, _ = d.take(headerToSession)
	_, m.NoEcho = d.take(headerNoEcho)
	if from, ok := d.take(driver.HeaderDeadOrigin); ok {
		m.Dead = &driver.DeadLetter{Origin: from}
		m.Dead.Reason, _ = d.take(driver.HeaderDeadReason)
		count, _ := d.take(driver.HeaderDeadCount)
		m.Dead.Count, _ = strconv.Atoi(count)
	}
}

func (d *stampDecoder) take(name string) (string, bool) {
	values := d.header[name]
	if len(values) == 0 {
		return "", false
	}
	value := values[0]
	if d.origin != fromNative && d.isEncoded(name) {
		// In the former format a client could name a header here. What needs no
		// encoding was not encoded by a node.
		if plain := unescape(value); !survives(plain) || strings.TrimSpace(plain) != plain {
			return plain, true
		}
	}
	return value, true
}

func (d *stampDecoder) isEncoded(name string) bool {
	encoded := d.header[headerEncoded]
	if len(encoded) == 0 {
		return false
	}
	for listed := range strings.SplitSeq(encoded[0], ",") {
		if listed == name {
			return true
		}
	}
	return false
}

// nativeHeaders returns the headers of a native program that pass through.
func nativeHeaders(h nats.Header) frames.Headers {
	var all frames.Headers
	for name, values := range h {
		if !isControl(name) && !driver.IsStamped(name) && len(values) > 0 {
			all = all.With(name, values[0])
		}
	}
	return all
}

// formerHeaders returns the client's headers of a message in the former format, where
// each travelled under its own name, with what NATS does not allow percent-encoded.
func formerHeaders(d *stampDecoder) frames.Headers {
	var all frames.Headers
	for name := range d.header {
		plain := unescape(name)
		if strings.HasPrefix(name, "stompbox-") || strings.HasPrefix(name, "Nats-") || driver.IsStamped(plain) {
			continue
		}
		value, _ := d.take(name)
		all = all.With(plain, value)
	}
	return all
}
