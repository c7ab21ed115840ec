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
	Destination string            `json:"destination"`
	Headers     map[string]string `json:"headers"`
	// Body is text, which is sent as it is, or any other value, which is sent as JSON.
	Body json.RawMessage `json:"body"`
	// Base64 is in place of Body for bytes that are no text.
	Base64 string `json:"body_base64"`
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
	if err == nil && d.More() {
		err = errors.New("something follows the object")
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("the body is not as it has to be: %s cannot be a JSON %s", wrong.Field, wrong.Value)
	case err != nil:
		return fmt.Errorf("the body is not as it has to be: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
