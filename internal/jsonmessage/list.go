package jsonmessage

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stompbox/stompbox/broker"
)

// maxListHeaders bounds the headers of all messages of a list, which take several times as much
// memory as their text.
const maxListHeaders = 100_000

// ErrTooMany says that a list has more messages than a batch may have.
var ErrTooMany = errors.New("too many messages")

// IndexError says which message of a list is invalid. What follows it was not read.
type IndexError struct {
	Index int // from 0
	Err   error
}

func (e *IndexError) Error() string { return fmt.Sprintf("message %d: %v", e.Index, e.Err) }

func (e *IndexError) Unwrap() error { return e.Err }

// ReadList reads the messages of a list one by one, each as soon as it has come, and ends at the
// first that is wrong: at one without a destination, or with [ErrTooMany] at one more than limit.
// It returns nil for null.
func ReadList(d *json.Decoder, limit int) ([]broker.Publication, error) {
	switch first, err := d.Token(); {
	case err != nil:
		return nil, err
	case first == nil:
		return nil, nil
	case first != json.Delim('['):
		return nil, errors.New("messages has to be a list")
	}
	all, headers := []broker.Publication{}, 0
	for d.More() {
		if len(all) == limit {
			return nil, ErrTooMany
		}
		var m Message
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		if headers += len(m.Headers); headers > maxListHeaders {
			return nil, fmt.Errorf("headers: the messages of a list may have %d", maxListHeaders)
		}
		p, err := m.Outgoing()
		if err == nil && m.Destination == "" {
			err = &broker.Error{Code: broker.CodeMissingHeader, Message: "the destination header is missing or empty"}
		}
		if err != nil {
			return nil, &IndexError{len(all), err}
		}
		all = append(all, p)
	}
	_, err := d.Token() // ], or what is wrong in its place
	return all, err
}
