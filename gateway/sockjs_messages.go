package gateway

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"github.com/stompbox/stompbox/broker"
)

// The protocol's words and status for what is no array of strings.
var (
	errNoPayload  = &bodyRefusal{http.StatusInternalServerError, "Payload expected."}
	errBrokenJSON = &bodyRefusal{http.StatusInternalServerError, "Broken JSON encoding."}
)

const jsonSpace = " \t\r\n"

// sockJSMessages are the messages of a request: a JSON array of strings, or one string.
// They are read one at a time, since an array can have millions of them.
type sockJSMessages []byte

// parseMessages checks the messages of a request as a whole, so that none of them is
// taken where one is wrong.
func parseMessages(payload []byte) (sockJSMessages, error) {
	payload = bytes.Trim(payload, jsonSpace)
	if len(payload) == 0 {
		return nil, errNoPayload
	}
	if !json.Valid(payload) {
		return nil, errBrokenJSON
	}
	if payload[0] != '[' {
		return nil, errNoPayload
	}
	for m := range sockJSMessages(payload).raw() {
		if m[0] != '"' {
			return nil, errNoPayload
		}
	}
	return payload, nil
}

// raw are the messages as they are in JSON. The first that is no string ends them.
func (m sockJSMessages) raw() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := m[1:]; ; { // after [
			rest = bytes.TrimLeft(rest, jsonSpace+",")
			switch {
			case len(rest) == 0 || rest[0] == ']':
				return
			case rest[0] != '"':
				yield(rest[:1])
				return
			}
			end := 1
			for rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			if !yield(rest[:end+1]) {
				return
			}
			rest = rest[end+1:]
		}
	}
}

// receive has a session take all messages. They are parts of one read, which the caller ends. Those
// of a long array are not: each of them may wait for the work of others. After the end of the
// session the rest is thrown away.
func (m sockJSMessages) receive(s session, work *broker.Work) {
	for message := range m.all(work) {
		_ = s.ReceivePart(message)
		if len(m) > broker.PieceBytes {
			s.EndRead()
		}
	}
}

// all are the messages, without empty ones. That they are found is work; what is done with each is
// none.
func (m sockJSMessages) all(work *broker.Work) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		defer work.Rest()
		for raw := range m.raw() {
			work.Begin(len(raw))
			if len(raw) == len(`""`) {
				continue
			}
			var text string
			_ = json.Unmarshal(raw, &text) // parseMessages has found it valid
			work.Rest()
			if !yield([]byte(text)) {
				return
			}
		}
	}
}

// formField returns a field of a form without a map of all the others.
func formField(form []byte, name string) []byte {
	for pair := range bytes.SplitSeq(form, []byte("&")) {
		key, value, _ := bytes.Cut(pair, []byte("="))
		if string(key) != name {
			continue
		}
		if text, err := url.QueryUnescape(string(value)); err == nil {
			return []byte(text)
		}
	}
	return nil
}
