package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
)

// jsonMessage is a message as JSON has it, in requests to the API and in answers of
// webhooks.
type jsonMessage struct {
	Destination string            `json:"destination"`
	Headers     map[string]string `json:"headers"`
	// Body is text, which is sent as it is, or any other value, which is sent as JSON.
	Body json.RawMessage `json:"body"`
	// Base64 is in place of Body for octets that are no text.
	Base64 string `json:"body_base64"`
}

// content is the headers and the body.
func (m *jsonMessage) content() (frames.Headers, []byte, error) {
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
		octets, err := base64.StdEncoding.DecodeString(m.Base64)
		if err != nil {
			return nil, nil, errors.New("body_base64 is not base64 (RFC 4648, 4)")
		}
		body, isJSON = octets, false
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

func (m *jsonMessage) outgoing() (broker.Outgoing, error) {
	headers, body, err := m.content()
	return broker.Outgoing{Destination: m.Destination, Headers: headers, Body: body}, err
}

// sendRequest is the body of POST /api/send: one message, or several.
type sendRequest struct {
	jsonMessage
	Messages []jsonMessage `json:"messages"`
}

// sendAnswer says what became of messages that were all right.
type sendAnswer struct {
	Sent   int          `json:"sent"`
	Failed []sendFailed `json:"failed,omitempty"`
}

type sendFailed struct {
	Index  int         `json:"index"`
	Code   broker.Code `json:"code"`
	Detail string      `json:"detail"`
}

func (a *api) send(ctx context.Context, r request) (any, error) {
	text, err := a.readJSON(r)
	if err != nil {
		return nil, err
	}
	all, err := parseSend(text)
	if err != nil {
		return nil, err
	}
	if most := a.Broker.Limits().MessageRate; !a.rates.allow(r.principal.Name, len(all), most) {
		p := refuse(http.StatusTooManyRequests, fmt.Sprintf("more than %d messages a second", most))
		p.Code = broker.CodeMessageRate
		return nil, p
	}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		return a.sendOnce(ctx, r, keys, text, all)
	}
	return a.sendNow(ctx, r, all)
}

// readJSON reads a body that is to be JSON, as long as a transaction may be.
func (a *api) readJSON(r request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "the Content-Type has to be application/json")
	}
	most := 2 * int64(a.Broker.Limits().MaxTransactionBytes) // of which some is base64, names and escapes
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than the limit of %d octets", most))
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the request ended early")
	}
	return text, nil
}

func parseSend(text []byte) ([]broker.Outgoing, error) {
	var q sendRequest
	if err := decodeStrictly(text, &q); err != nil {
		return nil, refuse(http.StatusBadRequest, err.Error()+"; see /api/openapi.json")
	}
	if q.Messages == nil {
		q.Messages = []jsonMessage{q.jsonMessage}
	} else if q.Destination != "" || q.Headers != nil || q.Body != nil || q.Base64 != "" {
		return nil, refuse(http.StatusBadRequest, "messages is a batch, which has no destination, headers or body of its own")
	}
	if len(q.Messages) == 0 {
		return nil, refuse(http.StatusBadRequest, "messages is empty; there is nothing to send")
	}
	all := make([]broker.Outgoing, len(q.Messages))
	for i := range q.Messages {
		var err error
		if all[i], err = q.Messages[i].outgoing(); err != nil {
			p := refuse(http.StatusBadRequest, err.Error())
			p.Index = &i
			return nil, p
		}
	}
	return all, nil
}

// decodeStrictly reads one JSON value without unknown fields.
func decodeStrictly(text []byte, into any) error {
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

// sendNow sends, and says what became of it.
func (a *api) sendNow(ctx context.Context, r request, all []broker.Outgoing) (any, error) {
	failed, err := a.Broker.Send(ctx, r.principal, all...)
	if err != nil {
		return nil, sendProblem(err)
	}
	answer := sendAnswer{Sent: len(all)}
	for i, err := range failed {
		var e *broker.Error
		if !errors.As(err, &e) {
			continue
		}
		if len(all) == 1 {
			return nil, sendProblem(e)
		}
		answer.Sent--
		answer.Failed = append(answer.Failed, sendFailed{Index: i, Code: e.Code, Detail: e.Message})
	}
	return answer, nil
}

// sendProblem is an error of sending as HTTP clients read it.
func sendProblem(err error) *problem {
	var e *broker.Error
	if !errors.As(err, &e) {
		return refuse(http.StatusServiceUnavailable, "the message could not be sent; the broker's log says why")
	}
	p := refuse(statusOf(e.Code), e.Message)
	p.Code = e.Code
	var one *broker.SendError
	if errors.As(err, &one) {
		p.Index = &one.Index
	}
	return p
}
