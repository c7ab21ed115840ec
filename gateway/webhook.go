package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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
	// PreviousSecret signs them too, while receivers change from it to Secret. Empty:
	// there is none.
	PreviousSecret []byte
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

// secrets are those that sign: receivers take either's signature.
func (o *WebhookOptions) secrets() [][]byte {
	if len(o.PreviousSecret) == 0 {
		return [][]byte{o.Secret}
	}
	return [][]byte{o.Secret, o.PreviousSecret}
}

// shortestHookSecret is what the specification of the signature asks for, in octets.
const shortestHookSecret = 24

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
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Deadline = cmp.Or(o.Deadline, 20*time.Second)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 100)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	at, err := url.Parse(o.URL)
	if err != nil || at.Host == "" || (at.Scheme != "http" && at.Scheme != "https") {
		return nil, fmt.Errorf("webhook %q: the url is not an http or https URL", o.Name)
	}
	for _, secret := range o.secrets() {
		if len(secret) < shortestHookSecret {
			return nil, fmt.Errorf("webhook %q: the secret has %d octets; it needs at least %d (try: openssl rand -base64 %d)", o.Name, len(secret), shortestHookSecret, shortestHookSecret)
		}
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
