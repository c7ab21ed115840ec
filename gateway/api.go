package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
)

// APIOptions make an [API].
type APIOptions struct {
	Broker        *broker.Broker
	Authenticator broker.Authenticator
	// Admin serves what concerns queues.
	Admin broker.QueueAdmin
	// Records are by what a request with an Idempotency-Key is sent once; nil: such
	// requests are refused.
	Records broker.Records
	Logger  *slog.Logger
}

// API returns the HTTP API, whose OpenAPI document is at /api/openapi.json:
//
//	POST /api/send                                    send one message, or several
//	POST /api/users/{name}/disconnect                 end the sessions of one user
//	GET  /api/users                                   who is connected, on any node
//	GET  /api/users/{name}                            the sessions of one user
//	GET  /api/destinations                            what is subscribed to
//	GET  /api/presence?destination=/topic/a           who is subscribed to it
//	GET  /api/queues                                  all queues
//	GET  /api/queues?destination=/queue/a             one queue
//	POST /api/queues/purge?destination=/queue/a       remove its messages
//	POST /api/queues/move?destination=/queue/DLQ.a    move dead letters back to where they came from,
//	     &to=/queue/b&limit=500                       or to another queue
//
// Requests carry a token, or a login and passcode as basic authentication. One
// sees the users that one may send to and the destinations that one may subscribe
// to, purges the queues that one may subscribe to, and moves messages to those that
// one may send to. To end sessions of a user takes send permission for
// /session/disconnect/<user>. Errors are problem documents (RFC 9457).
func API(o APIOptions) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	a := &api{APIOptions: o}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]apiHandler{
		"POST /api/send":                    a.send,
		"POST /api/users/{name}/disconnect": a.disconnect,
		"GET /api/users":                    a.users,
		"GET /api/users/{name}":             a.user,
		"GET /api/destinations":             a.destinations,
		"GET /api/presence":                 a.presence,
		"GET /api/queues":                   a.list,
		"POST /api/queues/purge":            a.purge,
		"POST /api/queues/move":             a.move,
	} {
		mux.HandleFunc(pattern, a.authenticated(handle))
	}
	mux.HandleFunc("GET /api/openapi.json", openAPI)
	mux.HandleFunc("/api/", a.unknown)
	// Authentication is never ambient, but a page may still know a login.
	return http.NewCrossOriginProtection().Handler(mux)
}

type api struct {
	APIOptions
	rates sendRates
}

// apiHandler returns what is answered as JSON, or an error that may be a problem.
type apiHandler func(ctx context.Context, r request) (any, error)

// problem is an error as HTTP clients read it.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is the broker's, where a message was refused, and Index which one of several.
	Code  broker.Code `json:"code,omitempty"`
	Index *int        `json:"index,omitempty"`
}

func (p *problem) Error() string { return p.Detail }

func refuse(status int, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

type request struct {
	*http.Request
	principal *auth.Principal
}

func (a *api) authenticated(handle apiHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := a.serve(r, handle)
		w.Header().Set("Cache-Control", "no-store")
		if err != nil {
			a.fail(w, r, err)
			return
		}
		if again, ok := answer.(replayed); ok {
			w.Header().Set("Idempotency-Replayed", "true")
			answer = again.RawMessage
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (a *api) serve(r *http.Request, handle apiHandler) (any, error) {
	p, err := a.Authenticator.Authenticate(r.Context(), credentials(r))
	if errors.Is(err, auth.ErrUnauthenticated) {
		return nil, refuse(http.StatusUnauthorized, "send a valid token as Authorization: Bearer, or a login and passcode")
	}
	if err != nil {
		return nil, err
	}
	return handle(r.Context(), request{r, p})
}

// credentials are those of the Authorization header: a token, or a login and passcode.
func credentials(r *http.Request) auth.Credentials {
	if login, passcode, ok := r.BasicAuth(); ok {
		return auth.Credentials{Login: login, Passcode: passcode}
	}
	return auth.Credentials{Authorization: r.Header.Get("Authorization")}
}

func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, broker.ErrNoQueue):
		p = refuse(http.StatusNotFound, "the queue has neither messages nor consumers")
	default:
		a.Logger.Warn("an API request failed", "path", r.URL.Path, "error", err)
		p = refuse(http.StatusServiceUnavailable, "the message store is not available; the broker's log says why")
	}
	writeProblem(w, p)
}

// unknown answers what the API does not have.
func (a *api) unknown(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, refuse(http.StatusNotFound, r.Method+" "+cut(r.URL.Path)+" is not part of the API; see /api/openapi.json"))
}

// retryAfter is in how many seconds to try again what is not available.
const retryAfter = "5"

// writeProblem answers with an error.
func writeProblem(w http.ResponseWriter, err error) {
	var p *problem
	if !errors.As(err, &p) {
		p = refuse(http.StatusServiceUnavailable, "that is not available at the moment; the broker's log says why")
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// statusOf is what an error of the broker is in HTTP.
func statusOf(code broker.Code) int {
	switch code {
	case broker.CodeForbidden:
		return http.StatusForbidden
	case broker.CodeRejected:
		return http.StatusUnprocessableEntity
	case broker.CodeTransactionSize, frames.CodeBodySize:
		return http.StatusRequestEntityTooLarge
	case broker.CodeNotAvailable:
		return http.StatusNotImplemented
	case broker.CodeUnavailable, broker.CodeNotStored, broker.CodeQueueFull, broker.CodeTooManySessions, broker.CodeShutdown, broker.CodeNoAppServer, broker.CodeAppBusy:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// maySubscribe reports whether the principal may subscribe to a destination or pattern.
func (r request) maySubscribe(name string) bool {
	p, err := auth.ParsePattern(name)
	return err == nil && r.principal.Permissions.MaySubscribe(p)
}

// number reads a query parameter from 1 to most, which is also its default.
func (r request) number(name string, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, refuse(http.StatusBadRequest, "the parameter "+name+" has to be 1 to "+strconv.Itoa(most))
	}
	return n, nil
}
