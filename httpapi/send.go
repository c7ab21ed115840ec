package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/jsonmessage"
	"github.com/stompbox/stompbox/internal/problem"
)

// sendRequest is the body of POST /api/send: one message, or several.
type sendRequest struct {
	jsonmessage.Message
	Messages jsonmessage.List `json:"messages"`
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
	held := a.broker.NewIncoming(r.principal.Name)
	defer held.Close()
	text, err := a.readJSON(r, held)
	if err != nil {
		return nil, err
	}
	if err := held.Add(parseCopies * len(text)); err != nil {
		return nil, sendProblem(err)
	}
	all, err := parseSend(text, a.broker.Limits().MaxTransactionFrames)
	if err != nil {
		return nil, err
	}
	limit := a.broker.Limits().MessageRate
	if wait := a.messageRates.wait(r.principal.Name, len(all), limit); wait > 0 {
		p := problem.New(http.StatusTooManyRequests, fmt.Sprintf("more than %d messages a second; nothing was sent", limit))
		p.Code, p.RetryAfter = broker.CodeMessageRate, wait
		return nil, p
	}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		return a.idempotent.sendIdempotent(ctx, r, keys, text, all)
	}
	return a.sendNow(ctx, r, all)
}

// parseCopies is how often the text of a body is in memory while it is parsed, in addition to the
// text itself.
const parseCopies = 2

// readJSON reads a body that is to be JSON, as long as a transaction may be. It counts what
// it reads.
func (a *api) readJSON(r request, held *broker.Incoming) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, problem.New(http.StatusUnsupportedMediaType, "the Content-Type has to be application/json")
	}
	limit := 2 * int64(a.broker.Limits().MaxTransactionBytes) // of which some is base64, names and escapes
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= limit {
		b.Grow(int(min(n, maxTrusted)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(held.Reader(http.MaxBytesReader(nil, r.Body, limit)))
	var large *http.MaxBytesError
	var over *broker.Error
	switch {
	case errors.As(err, &over):
		return nil, sendProblem(over)
	case errors.As(err, &large):
		return nil, problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than the limit of %d bytes", limit))
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "the request ended early")
	}
	return b.Bytes(), nil
}

// maxTrusted is how much memory a request gets for the length alone that it announces.
const maxTrusted = 64 << 10

func parseSend(text []byte, limit int) ([]broker.Publication, error) {
	var q sendRequest
	if err := jsonmessage.DecodeStrictly(text, &q); err != nil {
		return nil, problem.New(http.StatusBadRequest, err.Error()+"; see /api/openapi.json")
	}
	messages, err := q.batch(limit)
	if err != nil {
		return nil, err
	}
	all := make([]broker.Publication, len(messages))
	for i := range messages {
		if all[i], err = messages[i].Outgoing(); err != nil {
			p := problem.New(http.StatusBadRequest, err.Error())
			p.Index = &i
			return nil, p
		}
	}
	return all, nil
}

// batch returns the messages of a request, one where it is no batch.
func (q *sendRequest) batch(limit int) ([]jsonmessage.Message, error) {
	if !q.Messages.Given() {
		return []jsonmessage.Message{q.Message}, nil
	}
	if q.Destination != "" || q.Headers != nil || q.Body != nil || q.Base64 != "" {
		return nil, problem.New(http.StatusBadRequest, "messages is a batch, which has no destination, headers or body of its own")
	}
	messages, err := q.Messages.Decode(limit)
	switch {
	case errors.Is(err, jsonmessage.ErrTooMany):
		p := problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("too many messages for one request: the limit is %d", limit))
		p.Code = broker.CodeTransactionSize
		return nil, p
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, err.Error()+"; see /api/openapi.json")
	case len(messages) == 0:
		return nil, problem.New(http.StatusBadRequest, "messages is empty; there is nothing to send")
	}
	return messages, nil
}

// sendNow sends, and says what became of it.
func (a *api) sendNow(ctx context.Context, r request, all []broker.Publication) (any, error) {
	failed, err := a.broker.Send(ctx, r.principal, all...)
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
func sendProblem(err error) *problem.Details {
	var e *broker.Error
	if !errors.As(err, &e) {
		return problem.New(http.StatusServiceUnavailable, "the message may not have been sent; send it again with the same Idempotency-Key. The broker's log says why")
	}
	p := problem.Of(e)
	var failed *broker.SendError
	if errors.As(err, &failed) {
		p.Index = &failed.Index
	}
	return p
}
