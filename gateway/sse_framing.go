package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// eventStream is the framing of server-sent events: each message is an event, whose
// data is its body in one of three forms.
type eventStream struct{ form string }

// eventFramings are the forms by the parameter format.
var eventFramings = map[string]broker.EventFraming{
	"": eventStream{}, "text": eventStream{},
	"json": eventStream{"json"}, "base64": eventStream{"base64"},
}

var comment = []byte(":\n\n")

// Frame is for STOMP frames, of which a stream has none.
func (eventStream) Frame(dst, _ []byte, _ bool) []byte { return dst }

func (eventStream) HeartBeat() []byte { return comment }

func (eventStream) Ping() []byte { return nil }

func (eventStream) Close(broker.CloseCode, string) []byte { return nil }

// EventID leaves out an id that would be more than one field, whatever backend made it.
func (eventStream) EventID(dst []byte, id string) []byte {
	if strings.ContainsAny(id, "\r\n\x00") {
		return append(dst, '\n')
	}
	dst = append(append(dst, "id: "...), id...)
	return append(dst, "\n\n"...)
}

func (f eventStream) HeartBeatEvent(dst []byte, interval int64, id string) []byte {
	dst = append(dst, "event: "+eventHeartBeat+"\ndata: "...)
	dst = append(strconv.AppendInt(dst, interval, 10), '\n')
	if id == "" {
		return append(dst, '\n')
	}
	return f.EventID(dst, id)
}

func (eventStream) Notice(dst []byte, event string, data []byte) []byte {
	dst = append(append(dst, "event: "...), event...)
	dst = appendData(append(dst, '\n'), data)
	return append(dst, '\n')
}

// EventBinary is the event that replaces a message with a binary body, if the stream has
// format=text.
const EventBinary = "binary-refused"

func (f eventStream) Event(dst []byte, m *driver.Message, id string) []byte {
	event, _ := m.Headers.Lookup(broker.HeaderEvent)
	data, own := m.Body, false
	switch f.form {
	case "base64":
		data = base64.StdEncoding.AppendEncode(nil, data)
	case "json":
		data = envelope(m, id)
	default:
		if !utf8.Valid(data) {
			contentType, _ := m.Headers.Lookup(frames.ContentType)
			own, event, data = true, EventBinary, []byte(strconv.Itoa(len(data))+" bytes of "+strconv.Quote(contentType)+"; ask for format=base64 or json")
		}
	}
	if own || event != "" && !isOwnEvent(event) && !strings.ContainsAny(event, "\r\n") {
		dst = append(append(append(dst, "event: "...), event...), '\n')
	}
	return appendData(dst, data)
}

// isOwnEvent reports whether an event's name is one that the broker or the browser gives to
// events of its own, which no publisher may forge, or the one that events have without a name.
func isOwnEvent(name string) bool {
	switch name {
	case "open", "error": // an EventSource tells its page so of its connection
		return true
	case "message", eventConnected, eventHeartBeat, EventBinary, broker.EventProblem, broker.EventReplayIncomplete:
		return true
	}
	return false
}

// The names of further events of the broker's own.
const (
	eventConnected = "connected"
	eventHeartBeat = "heartbeat"
)

// appendData appends one data field for each line: LF, CR LF and CR all end one.
func appendData(dst, data []byte) []byte {
	for {
		end := bytes.IndexAny(data, "\r\n")
		line := data
		if end >= 0 {
			line = data[:end]
		}
		dst = append(append(append(dst, "data: "...), line...), '\n')
		if end < 0 {
			return dst
		}
		if data[end] == '\r' && end+1 < len(data) && data[end+1] == '\n' {
			end++
		}
		data = data[end+1:]
	}
}

// envelope is a message with its headers, as format=json has it.
func envelope(m *driver.Message, id string) []byte {
	e := struct {
		Destination string            `json:"destination"`
		ID          string            `json:"message-id"`
		User        string            `json:"user,omitempty"`
		Timestamp   int64             `json:"timestamp"`
		Headers     map[string]string `json:"headers,omitempty"`
		Body        *string           `json:"body,omitempty"`
		BodyBase64  []byte            `json:"body_base64,omitempty"` // in place of a body that is no text, as over HTTP
		Base64      []byte            `json:"base64,omitempty"`      // the same, under the name that it had first
	}{Destination: m.Destination, ID: id, User: m.User, Timestamp: m.Timestamp}
	for _, h := range m.Headers {
		if e.Headers == nil {
			e.Headers = make(map[string]string)
		}
		if _, twice := e.Headers[h.Name]; !twice {
			e.Headers[h.Name] = h.Value
		}
	}
	if utf8.Valid(m.Body) {
		body := string(m.Body)
		e.Body = &body
	} else {
		e.BodyBase64, e.Base64 = m.Body, m.Body
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil // strings and bytes are always JSON
	}
	return data
}
