package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/jsonmessage"
	"github.com/stompbox/stompbox/internal/problem"
)

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

// parseCopies is how often the text of a body is in memory while it is parsed, in addition to the
// text itself.
const parseCopies = 2

func (a *api) send(ctx context.Context, r request) (any, error) {
	answer, err := a.sendBody(ctx, r)
	a.chargeRefusal(r, err)
	return answer, err
}

func (a *api) sendBody(ctx context.Context, r request) (any, error) {
	held := a.broker.NewIncoming(r.principal.Name)
	defer held.Close()
	keys := r.Header.Values("Idempotency-Key")
	var fingerprint hash.Hash // of the text
	if len(keys) > 0 {
		fingerprint = sha256.New()
	}
	all, err := a.readSend(r, held, fingerprint)
	if err == nil {
		if over := held.Add(parseCopies * r.body.bytes); over != nil {
			err = sendProblem(over)
		}
	}
	if err != nil {
		return nil, err
	}
	held.Rest()
	limit := a.broker.Limits().MessageRate
	if wait := a.messageRates.wait(r.principal.Name, len(all), limit); wait > 0 {
		a.countLimit(r.Request, r.principal.Name, "message_rate")
		p := problem.New(http.StatusTooManyRequests, fmt.Sprintf("more than %d messages a second; nothing was sent", limit))
		p.Code, p.RetryAfter = broker.CodeMessageRate, wait
		return nil, p
	}
	if len(keys) > 0 {
		return a.idempotent.sendIdempotent(ctx, r, keys, hex.EncodeToString(fingerprint.Sum(nil)), all)
	}
	return a.sendNow(ctx, r, all)
}

// readSend reads a body that is to be JSON, as long as a transaction may be, and adds its text to
// a fingerprint, or nil. It reads no more of a body than up to what is wrong.
func (a *api) readSend(r request, held *broker.Incoming, fingerprint hash.Hash) ([]broker.Publication, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, problem.New(http.StatusUnsupportedMediaType, "the Content-Type has to be application/json")
	}
	limits := a.broker.Limits()
	limit := 2 * int64(limits.MaxTransactionBytes) // of which some is base64, names and escapes
	text := held.Reader(http.MaxBytesReader(nil, r.body, limit))
	if fingerprint != nil {
		text = io.TeeReader(text, fingerprint)
	}
	all, err := parseSend(text, limits.MaxTransactionFrames)
	var refused *problem.Details
	if errors.As(err, &refused) && refused.Code == broker.CodeTransactionSize { // there are too many messages
		a.countLimit(r.Request, r.principal.Name, "transaction_frames")
	}
	var stream *jsonmessage.StreamError
	var large *http.MaxBytesError
	var over *broker.Error
	switch {
	case !errors.As(err, &stream):
		return all, err
	case errors.As(err, &over):
		return nil, sendProblem(over)
	case errors.As(err, &large):
		a.countLimit(r.Request, r.principal.Name, "transaction_bytes")
		return nil, problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than the limit of %d bytes", limit))
	}
	return nil, problem.New(http.StatusBadRequest, "the request ended early")
}

// parseSend reads one message, or several. Its error is a problem, or a StreamError.
func parseSend(text io.Reader, limit int) ([]broker.Publication, error) {
	var single jsonmessage.Message
	var batch []broker.Publication
	err := jsonmessage.ReadObject(text, map[string]jsonmessage.Field{
		"destination": jsonmessage.Into(&single.Destination),
		"headers":     jsonmessage.Into(&single.Headers),
		"body":        jsonmessage.Into(&single.Body),
		"body_base64": jsonmessage.Into(&single.Base64),
		"messages": func(d *json.Decoder) (err error) {
			batch, err = jsonmessage.ReadList(d, limit)
			return err
		},
	})
	switch {
	case err != nil:
		return nil, parseProblem(err, limit)
	case batch == nil:
		message, err := single.Outgoing()
		if err != nil {
			p := problem.New(http.StatusBadRequest, err.Error())
			p.Index = new(int)
			return nil, p
		}
		return []broker.Publication{message}, nil
	case single.Destination != "" || single.Headers != nil || single.Body != nil || single.Base64 != "":
		return nil, problem.New(http.StatusBadRequest, "messages is a batch, which has no destination, headers or body of its own")
	case len(batch) == 0:
		return nil, problem.New(http.StatusBadRequest, "messages is empty; there is nothing to send")
	}
	return batch, nil
}

// parseProblem is what is wrong with a body, or an error of its stream as it is.
func parseProblem(err error, limit int) error {
	var stream *jsonmessage.StreamError
	var index *jsonmessage.IndexError
	var refused *broker.Error
	var p *problem.Details
	switch {
	case errors.As(err, &stream):
		return err
	case errors.Is(err, jsonmessage.ErrTooMany):
		p = problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("too many messages for one request: the limit is %d", limit))
		p.Code = broker.CodeTransactionSize
	case errors.As(err, &refused):
		p = problem.Of(refused)
	case errors.As(err, &index):
		p = problem.New(http.StatusBadRequest, index.Err.Error())
	default:
		p = problem.New(http.StatusBadRequest, err.Error()+"; see /api/openapi.json")
	}
	if errors.As(err, &index) {
		p.Index = &index.Index
	}
	return p
}

// sendNow sends, and says what became of it.
func (a *api) sendNow(ctx context.Context, r request, all []broker.Publication) (any, error) {
	if parents := r.Header.Values(broker.HeaderTraceparent); len(parents) == 1 {
		broker.ContinueTrace(a.broker, all, parents[0])
	}
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
