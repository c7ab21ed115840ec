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
	for pairs := 1; d.More(); pairs++ {
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
		if all[name.(string)] = text; pairs > maxHeaders { // also those that are repeated
			return fmt.Errorf("headers: a message may have %d", maxHeaders)
		}
	}
	*h = all
	return nil
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

// maxRepeated is how many bytes of a body an error repeats.
const maxRepeated = 200

func truncate(text string) string {
	if len(text) <= maxRepeated {
		return text
	}
	return strings.ToValidUTF8(text[:maxRepeated], "") + "..."
}
