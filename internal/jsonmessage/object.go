package jsonmessage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stompbox/stompbox/broker"
)

// Field reads the value of a field of an object.
type Field func(d *json.Decoder) error

// Into reads the value into what a pointer points to.
func Into(value any) Field {
	return func(d *json.Decoder) error { return d.Decode(value) }
}

// ErrEmpty says that there is no object.
var ErrEmpty = errors.New("invalid request body: it is empty")

// StreamError is why a stream could not be read to its end.
type StreamError struct{ Err error }

func (e *StreamError) Error() string { return e.Err.Error() }

func (e *StreamError) Unwrap() error { return e.Err }

// ReadObject reads a stream that has one JSON object, and returns no error only at its end. It
// reads each field as it comes, so that what follows a wrong one is not read. A field that is
// unknown, or there twice, is wrong. Errors of the stream are a [StreamError], and the others
// say in the words of those who sent it what is wrong.
func ReadObject(from io.Reader, fields map[string]Field) error {
	s := &stream{from: from}
	d := json.NewDecoder(s)
	d.DisallowUnknownFields()
	err := readFields(d, fields)
	if s.err != nil {
		return &StreamError{s.err}
	}
	return err
}

func readFields(d *json.Decoder, fields map[string]Field) error {
	switch first, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return ErrEmpty
	case err != nil:
		return explain("", err)
	case first != json.Delim('{'):
		return errors.New("invalid request body: it has to be one JSON object")
	}
	read := make(map[string]bool, len(fields))
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return explain("", err)
		}
		name := nameOf(key.(string), fields)
		switch {
		case name == "":
			return explain("", fmt.Errorf("unknown field %q", truncate(key.(string))))
		case read[name]:
			return explain("", fmt.Errorf("the field %q is there twice", name))
		}
		read[name] = true
		if err := fields[name](d); err != nil {
			return explain(name, err)
		}
	}
	if _, err := d.Token(); err != nil { // the end of the object
		return explain("", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return explain("", errors.New("something follows the object"))
	}
	return nil
}

// nameOf is the name of a field as encoding/json finds it, or "".
func nameOf(key string, fields map[string]Field) string {
	if _, ok := fields[key]; ok {
		return key
	}
	for name := range fields {
		if strings.EqualFold(name, key) {
			return name
		}
	}
	return ""
}

// stream remembers why it could not be read.
type stream struct {
	from io.Reader
	err  error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// explain says what is wrong with a body in the words of those who sent it. Errors that are
// about messages stay as they are.
func explain(field string, err error) error {
	var wrong *json.UnmarshalTypeError
	var index *IndexError
	var refused *broker.Error
	switch {
	case errors.Is(err, ErrTooMany), errors.As(err, &index), errors.As(err, &refused):
		return err
	case errors.As(err, &wrong):
		name := strings.Trim(field+"."+wrong.Field, ".")
		return fmt.Errorf("invalid request body: %s cannot be a JSON %s", truncate(name), truncate(wrong.Value))
	case errors.Is(err, io.EOF): // within the object
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("invalid request body: %s", truncate(strings.TrimPrefix(err.Error(), "json: ")))
}
