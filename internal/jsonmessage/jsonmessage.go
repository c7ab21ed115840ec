// Package jsonmessage reads messages as JSON, as requests to the API and answers of
// webhooks have them.
package jsonmessage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
)

// Message is a message as JSON has it, in requests to the API and in answers of
// webhooks.
type Message struct {
	Destination string  `json:"destination"`
	Headers     Headers `json:"headers"`
	// Body is text, which is sent as it is, or any other value, which is sent as JSON.
	Body json.RawMessage `json:"body"`
	// Base64 is in place of Body for bytes that are no text.
	Base64 string `json:"body_base64"`
}

// Headers are the headers of a message. They are read one by one, so that a body of
// many small ones is refused before they take memory.
type Headers map[string]string

// maxHeaders bounds the headers of one message while it is read. The broker's own
// limit, which is smaller, comes after it.
const maxHeaders = 1000

// maxListHeaders bounds those of all messages of a list, which take several times as much
// memory as their text.
const maxListHeaders = 100_000

// UnmarshalJSON reads an object of strings.
func (h *Headers) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	switch first, err := d.Token(); {
	case err != nil:
		return err
	case first == nil:
		return nil
	case first != json.Delim('{'):
		return errors.New("headers has to be an object of strings")
	}
	all := make(Headers)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		value, err := d.Token()
		if err != nil {
			return err
		}
		text, isText := value.(string)
		if !isText {
			return fmt.Errorf("headers: the value of %q has to be a string", truncate(fmt.Sprint(name)))
		}
		if all[name.(string)] = text; len(all) > maxHeaders {
			return fmt.Errorf("headers: a message may have %d", maxHeaders)
		}
	}
	*h = all
	return nil
}

// List is the messages of a batch. They are read one by one, so that a batch that is
// too long is refused before its messages take memory.
type List struct{ text json.RawMessage }

// UnmarshalJSON keeps the text. Decode reads it.
func (l *List) UnmarshalJSON(text []byte) error {
	if !bytes.Equal(text, []byte("null")) {
		l.text = text
	}
	return nil
}

// Given reports whether there is a list, which may be empty.
func (l *List) Given() bool { return l.text != nil }

// ErrTooMany says that a list has more messages than a batch may have.
var ErrTooMany = errors.New("too many messages")

// Decode returns the messages, or an error that wraps [ErrTooMany] once there are more
// than limit. Their headers are bounded too.
func (l *List) Decode(limit int) ([]Message, error) {
	d := json.NewDecoder(bytes.NewReader(l.text))
	d.DisallowUnknownFields()
	if first, err := d.Token(); err != nil || first != json.Delim('[') {
		return nil, errors.New("invalid request body: messages has to be a list")
	}
	all, headers := []Message{}, 0
	for d.More() {
		if len(all) == limit {
			return nil, ErrTooMany
		}
		var m Message
		if err := d.Decode(&m); err != nil {
			return nil, explain(err)
		}
		if headers += len(m.Headers); headers > maxListHeaders {
			return nil, fmt.Errorf("headers: the messages of a list may have %d", maxListHeaders)
		}
		all = append(all, m)
	}
	return all, nil
}

// Content returns the headers and the body.
func (m *Message) Content() (frames.Headers, []byte, error) {
	headers := make(frames.Headers, 0, len(m.Headers)+1)
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		if name != frames.Destination && name != frames.ContentLength {
			headers = append(headers, frames.Header{Name: name, Value: m.Headers[name]})
		}
	}
	_, typed := headers.Lookup(frames.ContentType)
	body, isJSON := []byte(m.Body), true
	switch {
	case m.Base64 != "" && m.Body != nil:
		return nil, nil, errors.New("body and body_base64 are two bodies; use one")
	case m.Base64 != "":
		decoded, err := base64.StdEncoding.DecodeString(m.Base64)
		if err != nil {
			return nil, nil, errors.New("body_base64 is not base64 (RFC 4648, 4)")
		}
		body, isJSON = decoded, false
	case m.Body == nil:
		isJSON = false
	case m.Body[0] == '"':
		var text string
		if err := json.Unmarshal(m.Body, &text); err != nil {
			return nil, nil, err
		}
		body, isJSON = []byte(text), false
	}
	if isJSON && !typed {
		headers = headers.With(frames.ContentType, "application/json")
	}
	return headers, body, nil
}

// Outgoing returns what the broker sends.
func (m *Message) Outgoing() (broker.Publication, error) {
	headers, body, err := m.Content()
	return broker.Publication{Destination: m.Destination, Headers: headers, Body: body}, err
}

// DecodeStrictly reads one JSON value without unknown fields.
func DecodeStrictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && len(bytes.TrimLeft(text[d.InputOffset():], " \t\r\n")) > 0 {
		err = errors.New("something follows the object")
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// explain says what is wrong with a body in the words of those who sent it.
func explain(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("invalid request body: %s cannot be a JSON %s", truncate(wrong.Field), truncate(wrong.Value))
	}
	return fmt.Errorf("invalid request body: %s", truncate(strings.TrimPrefix(err.Error(), "json: ")))
}

// maxRepeated is how many bytes of a body an error repeats.
const maxRepeated = 200

func truncate(text string) string {
	if len(text) <= maxRepeated {
		return text
	}
	return strings.ToValidUTF8(text[:maxRepeated], "") + "..."
}
