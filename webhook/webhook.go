// Package webhook lets HTTP servers answer requests to /app. Each request is posted to a URL as
// signed JSON. The answer can carry a reply and messages to send.
package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/fairslots"
	"github.com/stompbox/stompbox/internal/jsonmessage"
)

// Options configure a Webhook.
type Options struct {
	// Name is for logs and metrics.
	Name string
	// URL is where requests are posted, with http or https. Use https outside your own network.
	URL string
	// Secret signs them; at least 24 bytes.
	Secret []byte
	// PreviousSecret also signs them, while receivers change from it to Secret. Optional.
	PreviousSecret []byte
	// Grants say where the messages of an answer may go.
	Grants auth.Grants
	// Timeout is for one try. Default 5 s.
	Timeout time.Duration
	// Deadline is for all tries of a request; the broker's AppTimeout ends them too.
	// Default 20 s.
	Deadline time.Duration
	// MaxInFlight is the maximum number of concurrent requests; more are refused. One user gets
	// about half of them. Default 100.
	MaxInFlight int
	Logger      *slog.Logger
}

// WithDefaults returns o with the defaults in place of zeros.
func (o Options) WithDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Deadline = cmp.Or(o.Deadline, 20*time.Second)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 100)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}

// Stats count requests by outcome. All fields except Open only grow.
type Stats struct {
	Answered, Failed int64
	Refused          int64 // at once, as too many are under way or the circuit is open
	Tries            int64 // requests that were posted, each try
	Open             bool  // the server does not answer, and requests fail at once
}

// Stats returns the counts as they are now.
func (w *Webhook) Stats() Stats {
	return Stats{
		Answered: w.answered.Load(), Failed: w.failed.Load(), Refused: w.refused.Load(),
		Tries: w.tries.Load(), Open: w.breaker.open(),
	}
}

// secrets are those that sign: receivers take either's signature.
func (o *Options) secrets() [][]byte {
	if len(o.PreviousSecret) == 0 {
		return [][]byte{o.Secret}
	}
	return [][]byte{o.Secret, o.PreviousSecret}
}

// maxAnswerHeader is how long the headers of an answer may be. Their default is 10 MiB, of as
// many answers as are under way.
const maxAnswerHeader = 64 << 10

// minSecret is what the specification of the signature asks for, in bytes.
const minSecret = 24

// Webhook lets an HTTP server answer requests to /app. Each request is posted to a URL as JSON,
// signed according to Standard Webhooks 1.0. After a 5xx, a 429 or a network error it is tried
// again, with growing random pauses, until the deadline. A request can therefore be posted twice,
// with the same webhook-id. While the server does not answer, requests fail at once. Its Handle
// is a [broker.Handler], and safe for concurrent use.
type Webhook struct {
	Options
	broker    *broker.Broker
	client    *http.Client
	principal *auth.Principal
	shown     string // the URL without a password
	account   string // under which the memory that answers take is counted; no user has a NUL in the name
	slots     *fairslots.Slots
	breaker   breaker

	answered, failed, refused, tries atomic.Int64
}

// New returns a webhook for b, or an error that names the invalid option.
func New(b *broker.Broker, o Options) (*Webhook, error) {
	o = o.WithDefaults()
	at, err := url.Parse(o.URL)
	if err != nil || at.Host == "" || (at.Scheme != "http" && at.Scheme != "https") {
		return nil, fmt.Errorf("webhook %q: the url is not an http or https URL", o.Name)
	}
	for _, secret := range o.secrets() {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("webhook %q: the secret has %d bytes; it needs at least %d (try: openssl rand -base64 %d)", o.Name, len(secret), minSecret, minSecret)
		}
	}
	w := &Webhook{Options: o, broker: b, shown: at.Redacted(), account: "\x00webhook " + o.Name, slots: fairslots.New(o.MaxInFlight)}
	w.principal = &auth.Principal{Name: o.Name, Method: "webhook"}
	if w.principal.Permissions, err = auth.NewPermissions(o.Grants, o.Name); err != nil {
		return nil, fmt.Errorf("webhook %q: %w", o.Name, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = o.MaxInFlight, o.MaxInFlight
	transport.MaxResponseHeaderBytes = maxAnswerHeader
	w.client = &http.Client{
		Transport: transport,
		// The URL is the operator's word; what answers there has no say in it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// Close closes idle connections.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// requestBody is what is posted.
type requestBody struct {
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

// answerBody is what may be answered.
type answerBody struct {
	reply    *jsonmessage.Message
	messages []broker.Publication
}

// Handle posts one request, and sends the messages of the answer.
func (w *Webhook) Handle(ctx context.Context, r broker.Request) (*broker.Reply, error) {
	switch w.slots.Take(r.User) {
	case fairslots.Full:
		w.refused.Add(1)
		return nil, &broker.Error{Code: broker.CodeAppBusy, Message: "the app server has more requests than it can take; try again"}
	case fairslots.OverPart:
		w.refused.Add(1)
		w.broker.CountLimit("user_requests")
		return nil, &broker.Error{Code: broker.CodeAppBusy, Message: "the app server has as many of your requests as it takes of one user; try again"}
	}
	defer w.slots.Give(r.User)
	text, err := json.Marshal(newRequestBody(r))
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

func newRequestBody(r broker.Request) *requestBody {
	q := &requestBody{ID: r.ID, Timestamp: r.Timestamp, Destination: r.Destination, User: r.User, Session: r.Session, Headers: make(map[string]string, len(r.Headers))}
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

// parseAnswer reads an answer, which may be empty. What cannot be read is a StreamError.
func parseAnswer(body io.Reader, limit int) (*answerBody, error) {
	answer := new(answerBody)
	err := jsonmessage.ReadObject(body, map[string]jsonmessage.Field{
		"reply": jsonmessage.Into(&answer.reply),
		"messages": func(d *json.Decoder) (err error) {
			answer.messages, err = jsonmessage.ReadList(d, limit)
			return err
		},
	})
	var stream *jsonmessage.StreamError
	switch {
	case err == nil, errors.Is(err, jsonmessage.ErrEmpty):
		return answer, nil
	case errors.As(err, &stream):
		return nil, err
	}
	return nil, &broker.Error{Code: broker.CodeAppFailed, Message: "the app server's answer could not be read", Cause: err}
}

// carryOut sends the messages of an answer, and returns its reply.
func (w *Webhook) carryOut(ctx context.Context, answer *answerBody) (*broker.Reply, error) {
	if len(answer.messages) > 0 {
		failed, err := w.broker.Send(ctx, w.principal, answer.messages...)
		if err = errors.Join(append(failed, err)...); err != nil {
			return nil, err
		}
	}
	if answer.reply == nil {
		return nil, nil
	}
	headers, body, err := answer.reply.Content()
	return &broker.Reply{Headers: headers, Body: body}, err
}
