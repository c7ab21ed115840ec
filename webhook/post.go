package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/internal/jsonmessage"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// firstBackOff is the pause after the first try, at most; each next one is twice
	// as long, up to maxBackOff.
	firstBackOff = 250 * time.Millisecond
	maxBackOff   = 5 * time.Second
)

// deliver posts a request until it is answered.
func (w *Webhook) deliver(ctx context.Context, r broker.Request, text []byte) (*answerBody, error) {
	for try := 0; ; try++ {
		wait := w.breaker.wait(time.Now(), r.User)
		if wait > 0 && try == 0 {
			w.refused.Add(1)
			return nil, &broker.Error{Code: broker.CodeUnavailable, Message: "the app server does not answer at the moment; try again later"}
		}
		if wait == 0 {
			w.tries.Add(1)
			answer, err := w.tracedPost(ctx, r, text)
			var failed *failure
			if err == nil {
				w.answered.Add(1)
				w.answers()
				return answer, nil
			}
			if !errors.As(err, &failed) {
				w.failed.Add(1)
				w.answers()
				w.Logger.Warn("a webhook refused a request", "webhook", w.Name, "destination", r.Destination, "id", r.ID, "error", err)
				return nil, err
			}
			if !failed.busy && w.breaker.failed(time.Now(), r.User) {
				w.Logger.Error("a webhook does not answer; its requests fail at once until it does", "webhook", w.Name, "url", w.shown)
			}
			w.Logger.Debug("a webhook failed and is tried again", "webhook", w.Name, "id", r.ID, "try", try+1, "error", err)
			wait = failed.after
		}
		if !pause(ctx, max(wait, backOff(try))) {
			w.failed.Add(1)
			w.Logger.Warn("a request to a webhook was given up", "webhook", w.Name, "destination", r.Destination, "id", r.ID, "tries", try+1)
			return nil, &broker.Error{Code: broker.CodeAppFailed, Message: "the app server did not answer in time"}
		}
	}
}

// answers notes that the server answers, whatever it says.
func (w *Webhook) answers() {
	if w.breaker.succeeded() {
		w.Logger.Info("a webhook answers again", "webhook", w.Name)
	}
}

// backOff is a random pause, so that requests that failed together do not come again
// together.
func backOff(try int) time.Duration {
	longest := min(firstBackOff<<min(try, 10), maxBackOff)
	return longest/4 + rand.N(longest*3/4)
}

// pause waits, and reports false when ctx would end meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failure is a try that may go well another time.
type failure struct {
	cause error
	busy  bool          // the server is there, and has too much to do
	after time.Duration // which it wants to have passed
}

func (f *failure) Error() string { return f.cause.Error() }

func (f *failure) Unwrap() error { return f.cause }

// tracedPost is post with a span, which the request names in its traceparent.
func (w *Webhook) tracedPost(ctx context.Context, r broker.Request, text []byte) (*answerBody, error) {
	span := w.broker.StartSpan("webhook", trace.Client, r.Headers, r.Destination)
	if span == nil {
		parent, _ := r.Headers.Lookup(broker.HeaderTraceparent)
		return w.post(ctx, r.ID, parent, text)
	}
	answer, err := w.post(ctx, r.ID, span.Traceparent(), text)
	span.End(err)
	return answer, err
}

// post tries once. Its error is a [failure] or what the client is to read.
func (w *Webhook) post(ctx context.Context, id, parent string, text []byte) (*answerBody, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "stompbox")
	if trace.IsParent(parent) { // clients send it
		q.Header.Set(broker.HeaderTraceparent, parent)
	}
	sign(q.Header, w.secrets(), id, time.Now(), text)
	answer, err := w.client.Do(q)
	if err != nil {
		return nil, &failure{cause: withoutURL(err)}
	}
	defer answer.Body.Close()
	limit := 2 * int64(w.broker.Limits().MaxTransactionBytes)
	held := w.broker.NewIncoming(w.account)
	defer held.Close()
	body := held.Reader(http.MaxBytesReader(nil, answer.Body, limit))
	if again := answer.StatusCode; again >= 500 || again == http.StatusTooManyRequests || again == http.StatusRequestTimeout {
		_, _ = io.CopyN(io.Discard, body, maxDrained) // so that the connection can be used again
	}
	switch {
	case answer.StatusCode >= 500:
		return nil, &failure{cause: errors.New(answer.Status), after: retryAfterOf(answer)}
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout:
		return nil, &failure{cause: errors.New(answer.Status), busy: true, after: retryAfterOf(answer)}
	case answer.StatusCode >= 300:
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, unread(err)
		}
		return nil, refusal(answer, text)
	}
	parsed, err := parseAnswer(body, w.broker.Limits().MaxTransactionFrames)
	var stream *jsonmessage.StreamError
	if errors.As(err, &stream) {
		return nil, unread(stream.Err)
	}
	if err != nil {
		return nil, err
	}
	broker.ContinueTrace(w.broker, parsed.messages, parent)
	return parsed, nil
}

// unread is why an answer could not be read to its end.
func unread(err error) error {
	var over *broker.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return &broker.Error{Code: broker.CodeAppFailed, Message: "the app server's answer takes more memory than there is for it", Cause: err}
	case errors.As(err, &large):
		return &broker.Error{Code: broker.CodeAppFailed, Message: "the app server's answer is too large"}
	}
	return &failure{cause: err}
}

// maxDrained is how much is read of an answer that means nothing.
const maxDrained = 64 << 10

// withoutURL is an error of a request without its URL, which may hold secrets.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// maxRetryAfter bounds the word of an app server on when to try again.
const maxRetryAfter = time.Hour

func retryAfterOf(answer *http.Response) time.Duration {
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0 // a date, or nothing
	}
	return time.Duration(min(int64(seconds), int64(maxRetryAfter/time.Second))) * time.Second
}

// maxDetail is how many bytes of a problem's detail a client reads.
const maxDetail = 1024

// refusal is what the client reads: a problem document's detail is for it.
func refusal(answer *http.Response, body []byte) error {
	var p problem.Details
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind == problem.ContentType && json.Unmarshal(body, &p) == nil && p.Detail != "" {
		return &broker.Error{Code: broker.CodeAppFailed, Message: strings.ToValidUTF8(p.Detail[:min(len(p.Detail), maxDetail)], "")}
	}
	return &broker.Error{Code: broker.CodeAppFailed, Message: "the app server refused the request", Cause: errors.New(answer.Status)}
}
