package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/credentials"
	"github.com/stompbox/stompbox/internal/logattr"
	"github.com/stompbox/stompbox/internal/problem"
)

// Options configure the API.
type Options struct {
	// Logger reports the causes of errors that clients do not see. Default slog.Default.
	Logger *slog.Logger
	// Authenticator authenticates requests. Default that of the broker.
	Authenticator broker.Authenticator
	// Reload reads the configuration again, and returns the answer. Nil: the embedding program
	// cannot reload.
	Reload func(ctx context.Context) (any, error)
}

// New returns the HTTP API of b, whose OpenAPI document is at /api/openapi.json:
//
//	POST /api/send                                    send one message, or several
//	POST /api/users/{name}/disconnect                 end the sessions of one user
//	POST /api/users/{name}/unsubscribe                end subscriptions of one user
//	GET  /api/users                                   the connected users
//	GET  /api/users/{name}                            the sessions of one user
//	GET  /api/sessions?destination=                   the sessions of all nodes, or the subscribers of a destination
//	GET  /api/nodes                                   the nodes
//	GET, POST, DELETE /api/bans                       bans
//	GET  /api/histories                               the histories
//	GET  /api/history?destination=/topic/a            the kept messages of a destination
//	POST /api/history/clear?destination=/topic/a      remove these
//	GET  /api/destinations                            the destinations that have subscribers
//	GET  /api/presence?destination=/topic/a           the users that are subscribed to it
//	GET  /api/queues                                  all queues
//	GET  /api/queues?destination=/queue/a             one queue
//	GET  /api/queues/peek?destination=/queue/a        its messages, without removing them
//	     &limit=100&after=<next>
//	GET  /api/queues/message?destination=/queue/a     one of its messages
//	POST /api/queues/requeue?destination=/queue/DLQ.a move one of them back
//	POST /api/queues/purge?destination=/queue/a       remove its messages, or some of them
//	POST /api/reload                                  read the configuration again
//	POST /api/queues/move?destination=/queue/DLQ.a    move dead letters back to where they came from,
//	     &to=/queue/b&limit=500                       or to another queue
//	GET  /api/backup                                  the streams, for a backup
//	GET  /api/backup/stream?stream=stompbox_queues    the messages of one
//	POST /api/restore/check                           whether they can be restored here
//	POST /api/restore/stream                          restore the messages of one
//
// Requests carry a token, or a login and passcode as basic authentication. A caller sees the
// users that it may send to and the destinations that it may subscribe to. It may read and purge
// queues that it may subscribe to, and move messages to queues that it may send to. Ending the
// sessions of a user needs send permission for /session/disconnect/<user>, and a reload needs it
// for /session/reload. A backup needs subscribe permission for /**, and a restore needs send
// permission for it as well. Errors are problem documents (RFC 9457).
func New(b *broker.Broker, o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Authenticator == nil {
		o.Authenticator = b.Authenticator()
	}
	d := b.Driver()
	a := &api{broker: b, authenticator: o.Authenticator, queues: d.QueueAdmin, records: d.Idempotency, archive: d.Archive, log: o.Logger, refusals: credentials.NewRefusals(o.Logger)}
	a.archives, a.kept, a.idempotent = archiveAPI{a}, historyAPI{a}, idempotentSend{api: a, sendingFor: maxSending}
	if d.Queues != nil {
		a.idempotent.sendingFor = sendingFor(d.Queues.DedupWindow())
	}
	a.queueAPI, a.operators, a.registry = queueAPI{a}, operatorAPI{a}, registryAPI{a}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]apiHandler{
		sendPattern:                          a.send,
		"POST /api/users/{name}/disconnect":  a.registry.disconnect,
		"GET /api/users":                     a.registry.users,
		"GET /api/users/{name}":              a.registry.user,
		"POST /api/users/{name}/unsubscribe": a.operators.unsubscribe,
		"GET /api/sessions":                  a.operators.sessions,
		"GET /api/nodes":                     a.operators.nodes,
		"GET /api/bans":                      a.operators.listBans,
		"POST /api/bans":                     a.operators.addBan,
		"DELETE /api/bans":                   a.operators.liftBan,
		"GET /api/histories":                 a.kept.histories,
		"GET /api/history":                   a.kept.withHistories(a.kept.readHistory),
		"POST /api/history/clear":            a.kept.withHistories(a.kept.clearHistory),
		"GET /api/queues/message":            a.queueAPI.withQueues(a.queueAPI.message),
		"POST /api/queues/requeue":           a.queueAPI.withQueues(a.queueAPI.requeue),
		"GET /api/destinations":              a.registry.destinations,
		"GET /api/presence":                  a.registry.presence,
		"GET /api/queues":                    a.queueAPI.withQueues(a.queueAPI.list),
		"GET /api/queues/peek":               a.queueAPI.withQueues(a.queueAPI.peek),
		"POST /api/queues/purge":             a.queueAPI.withQueues(a.queueAPI.purge),
		"POST /api/queues/move":              a.queueAPI.withQueues(a.queueAPI.move),
		"POST /api/reload":                   a.reload(o.Reload),
		"GET /api/backup":                    a.archives.withArchive(false, a.archives.contents),
		"GET /api/backup/stream":             a.archives.withArchive(false, a.archives.export),
		"POST /api/restore/check":            a.archives.withArchive(true, a.archives.checkRestore),
		"POST /api/restore/stream":           a.archives.withArchive(true, a.archives.restore),
	} {
		mux.HandleFunc(pattern, a.authenticated(pattern, handle))
	}
	mux.HandleFunc("GET /api/openapi.json", openAPI)
	// Authentication is never ambient, but a page may still know a login.
	pages := http.NewCrossOriginProtection()
	pages.SetDenyHandler(http.HandlerFunc(refusePage))
	return KeepUserNames(pages.Handler(problem.Mux(mux, "; /api/openapi.json describes all requests")))
}

// sendPattern is of the requests that send messages, whose rate is that of messages.
const sendPattern = "POST /api/send"

type api struct {
	broker        *broker.Broker
	authenticator broker.Authenticator
	queues        driver.QueueAdmin       // nil: none can be managed
	records       driver.IdempotencyStore // nil: an Idempotency-Key is refused
	archive       driver.Archive          // nil: there are no backups
	log           *slog.Logger
	refusals      *credentials.Refusals
	messageRates  rates // of users
	userRates     rates // of their other requests
	addressRates  rates // the same, of addresses
	audits        logattr.Peers
	turns         turns
	limited       logattr.Lines // of requests that limits refuse

	archives   archiveAPI
	kept       historyAPI
	idempotent idempotentSend
	queueAPI   queueAPI
	operators  operatorAPI
	registry   registryAPI
}

// apiHandler returns what is answered as JSON, or an error that may be a problem.
type apiHandler func(ctx context.Context, r request) (any, error)

func (a *api) authenticated(pattern string, handle apiHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := &requestBody{ReadCloser: r.Body}
		// The HTTP server looks at the body of its own request: where much of that was not read, it
		// gives the client time to read the answer before it resets the connection.
		r = r.WithContext(r.Context())
		r.Body = body
		answer, err := a.serve(pattern, w, r, body, handle)
		w.Header().Set("Cache-Control", "no-store")
		if err != nil {
			body.closeUnread(w, r)
			a.fail(w, r, err)
			return
		}
		if raw, ok := answer.(rawAnswer); ok {
			raw(w)
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

func (a *api) serve(pattern string, w http.ResponseWriter, r *http.Request, body *requestBody, handle apiHandler) (any, error) {
	limited := pattern != sendPattern // one app server may send for all users, and has the rate of messages
	if err := a.limitAddress(r, limited); err != nil {
		return nil, err
	}
	shown := credentials.FromHeader(r)
	shown.Remote = r.RemoteAddr
	p, err := a.authenticator.Authenticate(r.Context(), shown)
	if err != nil {
		a.refusals.Report(r, err)
		return nil, problem.Unauthenticated(a.broker, broker.EndpointAPI, err, "send a valid token as Authorization: Bearer, or a login and passcode")
	}
	if err := a.limitUser(r, p.Name, limited); err != nil {
		return nil, err
	}
	if limited && !unhurried[pattern] {
		done, err := a.awaitTurn(r, p.Name)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	if err := checkParameters(pattern, r); err != nil {
		return nil, err
	}
	answer, err := handle(r.Context(), request{r, p, a.broker, w, body})
	a.audit(pattern, r, p, err)
	return answer, err
}

// unhurried are the requests that take no turns: those that last for as long as their client takes to
// read or send, and a reload, which waits for the one before, and is shared by those who wait.
var unhurried = map[string]bool{"GET /api/backup/stream": true, "POST /api/restore/stream": true, "POST /api/reload": true}

// unaudited are the requests that have no line in the log: those that app servers make all
// the time, and those that show no message and change nothing.
var unaudited = map[string]bool{
	sendPattern: true, "GET /api/users": true, "GET /api/users/{name}": true, "GET /api/sessions": true, "GET /api/nodes": true,
	"GET /api/destinations": true, "GET /api/presence": true, "GET /api/queues": true, "GET /api/histories": true,
}

// audit logs who asked for what. What was changed always has its line; of what was only read, or
// refused, one user fills no log.
func (a *api) audit(pattern string, r *http.Request, p *auth.Principal, err error) {
	if unaudited[pattern] {
		return
	}
	suppressed := 0
	if changed := err == nil && r.Method != http.MethodGet; !changed {
		var passes bool
		if passes, suppressed = a.audits.Take(p.Name); !passes {
			a.broker.CountLimit("user_log_lines")
			return
		}
	}
	attributes := []any{"request", pattern, "path", r.URL.Path, "query", r.URL.RawQuery, "by", p.Name, "method", p.Method, "remote", r.RemoteAddr}
	if err != nil {
		attributes = append(attributes, "error", err)
	}
	if suppressed > 0 {
		attributes = append(attributes, "suppressed", suppressed)
	}
	a.log.Info("an operator's request", attributes...)
}

func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Details
	switch {
	case r.Context().Err() != nil:
		return // there is no client any more to read it
	case errors.As(err, &p):
	case errors.Is(err, broker.ErrTooManyBans):
		p = problem.New(http.StatusConflict, err.Error())
	case errors.Is(err, driver.ErrNoQueue):
		p = problem.New(http.StatusNotFound, "the queue has neither messages nor consumers")
	default:
		a.log.Warn("an API request failed", "path", r.URL.Path, "error", err)
		p = problem.New(http.StatusServiceUnavailable, "the message store is not available; try again in some seconds. The broker's log says why")
	}
	problem.Write(w, p)
}

// refusePage answers a request that changes something and comes from a page of another origin.
func refusePage(w http.ResponseWriter, _ *http.Request) {
	problem.Write(w, problem.Coded(problem.CodeOrigin, "the HTTP API answers no pages of other origins; send from your server, or over a WebSocket"))
}
