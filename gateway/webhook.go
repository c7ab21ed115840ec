package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
)

// WebhookOptions make a [Webhook].
type WebhookOptions struct {
	// Name is for logs and metrics.
	Name string
	// URL is where requests are posted to: http or https, which beyond one's own
	// network it should be.
	URL string
	// Secret signs them; at least 24 octets.
	Secret []byte
	// Broker sends the messages that an answer carries, and Grants say where to.
	Broker *broker.Broker
	Grants auth.Grants
	// Timeout is for one try. Default 5 s.
	Timeout time.Duration
	// Deadline is for all tries of a request; the broker's AppTimeout ends them too.
	// Default 20 s.
	Deadline time.Duration
	// MaxInFlight is how many requests are under way at a time; more are refused.
	// Default 100.
	MaxInFlight int
	Logger      *slog.Logger
}

const (
	// shortestHookSecret is what the specification of the signature asks for, in octets.
	shortestHookSecret = 24
	// firstBackOff is the pause after the first try, at most; each next one is twice
	// as long, up to mostBackOff.
	firstBackOff = 250 * time.Millisecond
	mostBackOff  = 5 * time.Second
)

// Webhook has an HTTP server answer requests to /app: each is posted to a URL as JSON,
// signed as Standard Webhooks 1.0 has it. What fails by a 5xx, a 429 or on the way is
// tried again, with growing random pauses, until the deadline; so a request can be
// posted twice, and its webhook-id says so. While the server answers nothing, requests
// fail at once. Its Handle is a [broker.Handler], and safe for concurrent use.
type Webhook struct {
	WebhookOptions
	client    *http.Client
	principal *auth.Principal
	shown     string // the URL without a password
	slots     chan struct{}
	breaker   breaker

	answered, failed, refused, tries atomic.Int64
}

// NewWebhook returns a webhook, or an error that says which option is wrong.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	setDefault(&o.Timeout, 5*time.Second)
	setDefault(&o.Deadline, 20*time.Second)
	setDefault(&o.MaxInFlight, 100)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	at, err := url.Parse(o.URL)
	if err != nil || at.Host == "" || (at.Scheme != "http" && at.Scheme != "https") {
		return nil, fmt.Errorf("webhook %q: the url is not an http or https URL", o.Name)
	}
	if len(o.Secret) < shortestHookSecret {
		return nil, fmt.Errorf("webhook %q: the secret has %d octets; it needs at least %d (try: openssl rand -base64 %d)", o.Name, len(o.Secret), shortestHookSecret, shortestHookSecret)
	}
	w := &Webhook{WebhookOptions: o, shown: at.Redacted(), slots: make(chan struct{}, o.MaxInFlight)}
	w.principal = &auth.Principal{Name: o.Name, Method: "webhook"}
	if w.principal.Permissions, err = auth.NewPermissions(o.Grants, o.Name); err != nil {
		return nil, fmt.Errorf("webhook %q: %w", o.Name, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = o.MaxInFlight, o.MaxInFlight
	w.client = &http.Client{
		Transport: transport,
		// The URL is the operator's word; what answers there has no say in it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// Close ends connections that are idle.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// hookRequest is what is posted.
type hookRequest struct {
	ID          string            `json:"id"`
	Timestamp   int64             `json:"timestamp"`
	Destination string            `json:"destination"`
	User        string            `json:"user"`
	Session     string            `json:"session,omitempty"`
	Headers     map[string]string `json:"headers"`
	WantsReply  bool              `json:"wants_reply"`
	Body        *string           `json:"body,omitempty"`
	Base64      []byte            `json:"body_base64,omitempty"`
}

// hookAnswer is what may be answered.
type hookAnswer struct {
	Reply    *jsonMessage  `json:"reply"`
	Messages []jsonMessage `json:"messages"`
}

// Handle posts one request, and does what is answered.
func (w *Webhook) Handle(ctx context.Context, r broker.Request) (*broker.Reply, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		w.refused.Add(1)
		return nil, &broker.Error{Code: broker.CodeAppBusy, Message: "the app server has more requests than it can take; try again"}
	}
	text, err := json.Marshal(newHookRequest(r))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.Deadline)
	defer cancel()
	answer, err := w.deliver(ctx, r, text)
	if err != nil {
		return nil, err
	}
	reply, err := w.carryOut(ctx, answer)
	if err != nil {
		w.Logger.Error("the answer of a webhook could not be carried out", "webhook", w.Name, "destination", r.Destination, "id", r.ID, "error", err)
		return nil, &broker.Error{Code: broker.CodeAppFailed, Message: "the app server's answer could not be carried out"}
	}
	return reply, nil
}

func newHookRequest(r broker.Request) *hookRequest {
	q := &hookRequest{ID: r.ID, Timestamp: r.Timestamp, Destination: r.Destination, User: r.User, Session: r.Session, Headers: make(map[string]string, len(r.Headers))}
	for _, h := range r.Headers {
		if h.Name == broker.HeaderReplyTo {
			q.WantsReply = true // where to is the broker's secret
		} else if _, twice := q.Headers[h.Name]; !twice {
			q.Headers[h.Name] = h.Value // of a header that is repeated the first counts
		}
	}
	if utf8.Valid(r.Body) {
		text := string(r.Body)
		q.Body = &text
	} else {
		q.Base64 = r.Body
	}
	return q
}

// deliver posts a request until it is answered.
func (w *Webhook) deliver(ctx context.Context, r broker.Request, text []byte) (*hookAnswer, error) {
	for try := 0; ; try++ {
		wait := w.breaker.wait(time.Now())
		if wait > 0 && try == 0 {
			w.refused.Add(1)
			return nil, &broker.Error{Code: broker.CodeUnavailable, Message: "the app server does not answer at the moment; try again later"}
		}
		if wait == 0 {
			w.tries.Add(1)
			answer, err := w.post(ctx, r.ID, text)
			var failure *hookFailure
			if err == nil {
				w.answered.Add(1)
				w.report(w.breaker.succeeded())
				return answer, nil
			}
			if !errors.As(err, &failure) {
				w.failed.Add(1)
				w.report(w.breaker.succeeded()) // it answers
				w.Logger.Warn("a webhook refused a request", "webhook", w.Name, "destination", r.Destination, "id", r.ID, "error", err)
				return nil, err
			}
			if !failure.busy {
				w.report(w.breaker.failed(time.Now()))
			}
			w.Logger.Debug("a webhook failed and is tried again", "webhook", w.Name, "id", r.ID, "try", try+1, "error", err)
			wait = failure.after
		}
		if !pause(ctx, max(wait, backOff(try))) {
			w.failed.Add(1)
			w.Logger.Warn("a request to a webhook was given up", "webhook", w.Name, "destination", r.Destination, "id", r.ID, "tries", try+1)
			return nil, &broker.Error{Code: broker.CodeAppFailed, Message: "the app server did not answer in time"}
		}
	}
}

// report logs when the circuit opens or closes.
func (w *Webhook) report(changed, open bool) {
	switch {
	case changed && open:
		w.Logger.Error("a webhook does not answer; its requests fail at once until it does", "webhook", w.Name, "url", w.shown)
	case changed:
		w.Logger.Info("a webhook answers again", "webhook", w.Name)
	}
}

// backOff is a random pause, so that requests that failed together do not come again
// together.
func backOff(try int) time.Duration {
	most := min(firstBackOff<<min(try, 10), mostBackOff)
	return most/4 + rand.N(most*3/4)
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

// hookFailure is a try that may go well another time.
type hookFailure struct {
	cause error
	busy  bool          // the server is there, and has too much to do
	after time.Duration // which it wants to have passed
}

func (f *hookFailure) Error() string { return f.cause.Error() }

func (f *hookFailure) Unwrap() error { return f.cause }

// post tries once. Its error is a [hookFailure] or what the client is to read.
func (w *Webhook) post(ctx context.Context, id string, text []byte) (*hookAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "stompbox")
	signHook(q.Header, w.Secret, id, time.Now(), text)
	answer, err := w.client.Do(q)
	if err != nil {
		return nil, &hookFailure{cause: err}
	}
	defer answer.Body.Close()
	most := 2 * int64(w.Broker.Limits().MaxTransactionBytes)
	body, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, &hookFailure{cause: err}
	case answer.StatusCode >= 500:
		return nil, &hookFailure{cause: errors.New(answer.Status), after: retryAfterOf(answer)}
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout:
		return nil, &hookFailure{cause: errors.New(answer.Status), busy: true, after: retryAfterOf(answer)}
	case answer.StatusCode >= 300:
		return nil, hookRefusal(answer, body)
	case int64(len(body)) > most:
		return nil, &broker.Error{Code: broker.CodeAppFailed, Message: "the app server's answer is too large"}
	}
	return parseHookAnswer(body)
}

func retryAfterOf(answer *http.Response) time.Duration {
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0 // a date, or nothing
	}
	return time.Duration(seconds) * time.Second
}

// hookRefusal is what the client reads: a problem document's detail is for it.
func hookRefusal(answer *http.Response, body []byte) error {
	var p problem
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Detail != "" {
		return &broker.Error{Code: broker.CodeAppFailed, Message: p.Detail}
	}
	return &broker.Error{Code: broker.CodeAppFailed, Message: "the app server refused the request", Cause: errors.New(answer.Status)}
}

func parseHookAnswer(body []byte) (*hookAnswer, error) {
	answer := new(hookAnswer)
	if len(bytes.TrimSpace(body)) == 0 {
		return answer, nil
	}
	if err := decodeStrictly(body, answer); err != nil {
		return nil, &broker.Error{Code: broker.CodeAppFailed, Message: "the app server's answer could not be read", Cause: err}
	}
	return answer, nil
}

// carryOut sends the messages of an answer, and returns its reply.
func (w *Webhook) carryOut(ctx context.Context, answer *hookAnswer) (*broker.Reply, error) {
	all := make([]broker.Outgoing, len(answer.Messages))
	for i := range answer.Messages {
		var err error
		if all[i], err = answer.Messages[i].outgoing(); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
	}
	if len(all) > 0 {
		failed, err := w.Broker.Send(ctx, w.principal, all...)
		if err = errors.Join(append(failed, err)...); err != nil {
			return nil, err
		}
	}
	if answer.Reply == nil {
		return nil, nil
	}
	headers, body, err := answer.Reply.content()
	return &broker.Reply{Headers: headers, Body: body}, err
}
