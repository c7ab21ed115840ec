package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// MaxPeeked is how many messages one request can look at.
	MaxPeeked = 100
	// maxPeekedBytes is how large their bodies may be together, without the first.
	maxPeekedBytes = 1 << 20
)

// Peeked is the answer to a request for messages of a queue.
type Peeked struct {
	Messages []PeekedMessage `json:"messages"`
	// Next is the parameter after of the next request, if there are more messages.
	Next string `json:"next,omitempty"`
}

// PeekedMessage is a message as a consumer would get it.
type PeekedMessage struct {
	Headers map[string]string `json:"headers"`
	// Body is a text body, and Base64 a binary one. Only one of them is set.
	Body   *string `json:"body,omitempty"`
	Base64 string  `json:"body_base64,omitempty"`
}

// peek shows messages of a queue to those who may consume it.
func (a queueAPI) peek(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	limit, err := r.number("limit", MaxPeeked)
	if err != nil {
		return nil, err
	}
	seen, err := a.broker.PeekQueue(ctx, name, driver.Peek{Limit: limit, MaxBytes: maxPeekedBytes, After: r.URL.Query().Get("after")})
	if errors.Is(err, driver.ErrBadCursor) {
		return nil, badCursor()
	}
	if err != nil {
		return nil, err
	}
	answer := Peeked{Messages: make([]PeekedMessage, len(seen.Messages)), Next: seen.Next}
	for i, m := range seen.Messages {
		answer.Messages[i] = newPeekedMessage(m)
	}
	return answer, nil
}

func newPeekedMessage(m *driver.Message) PeekedMessage {
	p := PeekedMessage{Headers: make(map[string]string)}
	for _, h := range broker.MessageHeaders(m) {
		if _, repeated := p.Headers[h.Name]; !repeated { // of repeated headers the first counts
			p.Headers[h.Name] = h.Value
		}
	}
	if utf8.Valid(m.Body) {
		text := string(m.Body)
		p.Body = &text
	} else {
		p.Base64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	return p
}
