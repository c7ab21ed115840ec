package relay

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// Headers that only nodes of stompbox set.
const (
	headerKey       = "stompbox-key"     // the routing key
	headerToSession = "stompbox-session" // narrows a user message
	headerNoEcho    = "stompbox-no-echo" // not to the sender's session
	headerEncoded   = "stompbox-encoded" // names of headers whose values are percent-encoded
)

// encode makes the NATS message of m. STOMP headers travel under their names;
// values that a NATS header cannot carry are percent-encoded, and named in
// stompbox-encoded.
func encode(prefix string, m *driver.Message) *nats.Msg {
	h := make(nats.Header, len(m.Headers)+8)
	e := headerEncoder{header: h}
	e.set(headerKey, m.Key)
	e.set(frames.Destination, m.Destination)
	e.set(frames.MessageID, m.ID)
	h[driver.HeaderTimestamp] = []string{strconv.FormatInt(m.Timestamp, 10)}
	e.set(driver.HeaderUser, m.User)
	e.set(frames.Session, m.Session)
	e.set(headerToSession, m.ToSession)
	if m.NoEcho {
		h[headerNoEcho] = []string{"true"}
	}
	if m.Dead != nil {
		e.set(driver.HeaderDeadOrigin, m.Dead.Origin)
		e.set(driver.HeaderDeadReason, m.Dead.Reason)
		e.set(driver.HeaderDeadCount, strconv.Itoa(m.Dead.Count))
	}
	for _, one := range m.Headers {
		e.set(escape(one.Name, isNameOctet), one.Value)
	}
	if len(e.encoded) > 0 {
		h[headerEncoded] = []string{strings.Join(e.encoded, ",")}
	}
	return &nats.Msg{Subject: Subject(prefix, m.Key), Header: h, Data: m.Body}
}

type headerEncoder struct {
	header  nats.Header
	encoded []string
}

func (e *headerEncoder) set(name, value string) {
	if _, twice := e.header[name]; twice || value == "" && isInternal(name) {
		return // the first entry is the one that counts
	}
	if strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n\x00") {
		e.encoded = append(e.encoded, name)
		value = escape(value, isValueOctet)
	}
	e.header[name] = []string{value}
}

func isInternal(name string) bool {
	switch name {
	case headerToSession, driver.HeaderUser, frames.Session:
		return true
	}
	return false
}

// decode makes the message of a NATS message, which may come from a node or
// from any program. What is missing is made up: the destination from the
// subject, an id from nextID, the time from the clock.
func decode(prefix string, msg *nats.Msg, nextID func() string) (*driver.Message, bool) {
	d := headerDecoder{header: msg.Header, encoded: msg.Header[headerEncoded]}
	key, ok := d.take(headerKey)
	if !ok {
		if key, ok = Destination(prefix, msg.Subject); !ok {
			return nil, false
		}
	}
	m := &driver.Message{Key: destination.Canonical(key), Body: msg.Data}
	if m.Destination, ok = d.take(frames.Destination); !ok {
		m.Destination = shownDestination(key)
	}
	if m.ID, ok = d.take(frames.MessageID); !ok {
		m.ID = nextID()
	}
	stamp, _ := d.take(driver.HeaderTimestamp)
	var err error
	if m.Timestamp, err = strconv.ParseInt(stamp, 10, 64); err != nil {
		m.Timestamp = time.Now().UnixMilli()
	}
	m.User, _ = d.take(driver.HeaderUser)
	m.Session, _ = d.take(frames.Session)
	m.ToSession, _ = d.take(headerToSession)
	_, m.NoEcho = d.take(headerNoEcho)
	if origin, ok := d.take(driver.HeaderDeadOrigin); ok {
		m.Dead = &driver.DeadLetter{Origin: origin}
		m.Dead.Reason, _ = d.take(driver.HeaderDeadReason)
		count, _ := d.take(driver.HeaderDeadCount)
		m.Dead.Count, _ = strconv.Atoi(count)
	}
	for name := range msg.Header {
		plain := unescape(name)
		if strings.HasPrefix(name, "stompbox-") || strings.HasPrefix(name, "Nats-") || driver.IsStamped(plain) {
			continue
		}
		value, _ := d.take(name)
		m.Headers = m.Headers.With(plain, value)
	}
	return m, true
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

type headerDecoder struct {
	header  nats.Header
	encoded []string
}

func (d *headerDecoder) take(name string) (string, bool) {
	values := d.header[name]
	if len(values) == 0 {
		return "", false
	}
	if len(d.encoded) > 0 {
		for one := range strings.SplitSeq(d.encoded[0], ",") {
			if one == name {
				return unescape(values[0]), true
			}
		}
	}
	return values[0], true
}

// isNameOctet reports whether an octet may stand in a NATS header's name.
func isNameOctet(c byte) bool { return c > ' ' && c < 0x7f && c != ':' && c != '%' && c != ',' }

// isValueOctet reports whether an octet survives in an encoded value.
func isValueOctet(c byte) bool { return c > ' ' && c != 0x7f && c != '%' }

func escape(s string, ok func(byte) bool) string {
	plain := 0
	for plain < len(s) && ok(s[plain]) {
		plain++
	}
	if plain == len(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+8), s[:plain]...)
	for i := plain; i < len(s); i++ {
		if ok(s[i]) {
			b = append(b, s[i])
		} else {
			b = fmt.Appendf(b, "%%%02X", s[i])
		}
	}
	return string(b)
}

// unescape reverses escape. A percent sign that begins no escape stays.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
