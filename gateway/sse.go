package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/credentials"
	"github.com/stompbox/stompbox/internal/problem"
)

// EventsOptions configure an Events.
type EventsOptions struct {
	// AllowedOrigins are the same as for WebSockets. Pages from origins listed by name may use
	// the cookie; "*" is not enough.
	AllowedOrigins []string
	// Cookie is the name of a cookie with a token. Empty: no cookie is accepted.
	Cookie string
	// HeartBeat is the time without data after which a comment is sent. Default 15 s.
	HeartBeat time.Duration
	// HeartBeatEvents sends heartbeat events in every stream, not only if the client asks for
	// them.
	HeartBeatEvents bool
	// MaxLifetime is the time after which a stream ends and the browser reconnects, with a fresh
	// token if it has one. It is up to a tenth shorter at random. Default 5 minutes; negative
	// means never.
	MaxLifetime time.Duration
	// Retry is the time after which a browser should reconnect. Default 2 s.
	Retry time.Duration
	// Logger reports requests that were not authenticated. Default slog.Default.
	Logger *slog.Logger
}

// WithDefaults returns o with the defaults in place of zeros.
func (o EventsOptions) WithDefaults() EventsOptions {
	o.HeartBeat = cmp.Or(o.HeartBeat, 15*time.Second)
	o.MaxLifetime = cmp.Or(o.MaxLifetime, 5*time.Minute)
	o.Retry = cmp.Or(o.Retry, 2*time.Second)
	return o
}

// maxDestinations is how many destinations one stream has.
const maxDestinations = 32

// Events is an http.Handler of server-sent events (WHATWG HTML, 9.2):
//
//	GET /events?destination=/topic/prices&destination=/user/queue/notifications
//
// It accepts a token in the Authorization header, a cookie, or the parameter access_token.
// Parameters: format (text, json or base64), last-event-id in place of the header, heartbeat
// (event or comment). Errors before the stream begins are problem documents.
type Events struct {
	EventsOptions
	allowed  allowedOrigins
	broker   *broker.Broker
	streams  connTracker
	refused  atomic.Int64 // pages, for their origin
	refusals *credentials.Refusals
}

// NewEvents returns a handler for the mux of the embedding program. After the broker is shut
// down, use Wait to wait for its connections.
func NewEvents(b *broker.Broker, o EventsOptions) *Events {
	e := &Events{EventsOptions: o.WithDefaults(), broker: b, refusals: credentials.NewRefusals(o.Logger)}
	e.SetAllowedOrigins(o.AllowedOrigins)
	return e
}

// SetAllowedOrigins replaces [EventsOptions.AllowedOrigins], for requests from now on. It is
// safe for concurrent use.
func (e *Events) SetAllowedOrigins(origins []string) { e.allowed.set(origins) }

// Wait returns when all streams have ended.
func (e *Events) Wait() { e.streams.Wait() }

// ServeHTTP serves one stream, or the preflight request of a page from another origin.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.allowOrigin(w, r)
	if r.Method == http.MethodHead { // which a GET route takes too
		w.Header().Set("Allow", "GET, OPTIONS")
		problem.Write(w, problem.New(http.StatusMethodNotAllowed, "HEAD is not supported for a stream of events; use GET"))
		return
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Methods", "GET")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Last-Event-ID, Cache-Control")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if e.broker.Draining() {
		// A browser gives up at any answer but 200, and comes back when there is none.
		panic(http.ErrAbortHandler)
	}
	framing, o, err := e.options(r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	principal, err := e.authenticate(r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	t := newEventConn(framing, r.RemoteAddr)
	s, err := e.broker.OpenStream(t, principal, o)
	if err != nil {
		problem.Write(w, streamProblem(err))
		return
	}
	e.stream(w, r, t, s, principal)
}

func (e *Events) allowOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	if !originAllowed(r, e.allowed.list()) {
		e.refused.Add(1)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if originNamed(r, e.allowed.list()) {
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
	}
}

// RefusedOrigins is the number of requests from pages whose origin is not allowed. Their browsers
// hide the answer from them.
func (e *Events) RefusedOrigins() int64 { return e.refused.Load() }

// options reads the request's parameters.
func (e *Events) options(r *http.Request) (broker.EventFraming, broker.StreamOptions, error) {
	o := broker.StreamOptions{HeartBeat: e.HeartBeat, HeartBeatEvents: e.HeartBeatEvents, MaxLifetime: max(e.MaxLifetime, 0)}
	query := r.URL.Query()
	for name := range query {
		switch name {
		case "destination", "format", "last-event-id", "lastEventId", "access_token", "heartbeat":
		default:
			return nil, o, problem.New(http.StatusBadRequest, "there is no parameter "+strconv.Quote(problem.Truncate(name))+"; use destination, format, heartbeat, last-event-id and access_token")
		}
	}
	o.Destinations = query["destination"]
	if n := len(o.Destinations); n == 0 || n > maxDestinations {
		return nil, o, problem.New(http.StatusBadRequest, "give 1 to "+strconv.Itoa(maxDestinations)+" parameters destination, such as destination=/topic/prices")
	}
	for _, id := range []string{r.Header.Get("Last-Event-ID"), query.Get("last-event-id"), query.Get("lastEventId")} {
		if o.LastEventID == "" {
			o.LastEventID = id
		}
	}
	switch query.Get("heartbeat") {
	case "":
	case "event", "true":
		o.HeartBeatEvents = true
	case "comment", "false":
		o.HeartBeatEvents = false
	default:
		return nil, o, problem.New(http.StatusBadRequest, "the parameter heartbeat has to be event or comment")
	}
	framing, ok := eventFramings[query.Get("format")]
	if !ok {
		return nil, o, problem.New(http.StatusBadRequest, "the parameter format has to be text, json or base64")
	}
	return framing, o, nil
}

// authenticate finds out whose stream it is to be.
func (e *Events) authenticate(r *http.Request) (*auth.Principal, error) {
	c := credentials.FromHeader(r)
	if token := r.URL.Query().Get("access_token"); c == (auth.Credentials{}) && token != "" {
		c.Authorization = "Bearer " + token
	}
	if cookie, err := r.Cookie(e.Cookie); c == (auth.Credentials{}) && e.Cookie != "" && err == nil {
		if !e.mayUseCookie(r) {
			return nil, problem.Coded(problem.CodeOrigin, "origin "+problem.Truncate(r.Header.Get("Origin"))+" may not use the cookie; add it to http.allowed_origins")
		}
		c.Authorization = "Bearer " + cookie.Value
	}
	c.Remote = r.RemoteAddr
	p, err := e.broker.Authenticator().Authenticate(r.Context(), c)
	if err != nil {
		e.refusals.Report(r, err)
	}
	return p, problem.Unauthenticated(e.broker, broker.EndpointEvents, err, "send a valid token as Authorization: Bearer, in the cookie, or as access_token")
}

// mayUseCookie reports whether the page that asks is one that may: browsers add
// cookies to any page's requests. They leave Origin out for pages of this host.
func (e *Events) mayUseCookie(r *http.Request) bool {
	if r.Header.Get("Origin") != "" {
		return originNamed(r, e.allowed.list())
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return false
}

// streamProblem is an error of the broker as HTTP clients read it.
func streamProblem(err error) error {
	var e *broker.Error
	if !errors.As(err, &e) {
		return err
	}
	return problem.Of(e)
}

// eventHeaders are those of a stream. X-Accel-Buffering keeps nginx, no-transform
// others from holding events back.
var eventHeaders = http.Header{
	"Content-Type":           {"text/event-stream; charset=utf-8"},
	"Cache-Control":          {"no-cache, no-store, no-transform"},
	"X-Accel-Buffering":      {"no"},
	"X-Content-Type-Options": {"nosniff"},
}

// stream answers, and has the connection be the session's. Over HTTP/1.1 it takes
// the connection over, so that an idle stream costs as little as a WebSocket.
func (e *Events) stream(w http.ResponseWriter, r *http.Request, t *eventConn, s *broker.Session, p *auth.Principal) {
	for name, values := range eventHeaders {
		w.Header()[name] = values
	}
	hello, err := json.Marshal(struct {
		User      string `json:"user"`
		Session   string `json:"session"`
		HeartBeat int64  `json:"heartbeat"` // in milliseconds
	}{p.Name, s.ID(), e.HeartBeat.Milliseconds()})
	if err != nil {
		hello = nil // it is always JSON
	}
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Time{}) // it goes on for as long as its client stays
	_ = controller.SetWriteDeadline(time.Time{})
	first := []byte("retry: " + strconv.FormatInt(e.Retry.Milliseconds(), 10) + "\n")
	first = t.framing.Notice(first, eventConnected, hello)
	if r.ProtoMajor == 1 {
		if c, _, err := controller.Hijack(); err == nil {
			e.takeOver(c, w.Header(), t, s, first)
			return
		}
	}
	e.streams.begin()
	defer e.streams.end()
	sink := &response{w: w, controller: controller}
	defer sink.end()
	w.WriteHeader(http.StatusOK)
	t.begin(sink, first)
	select {
	case <-r.Context().Done():
	case <-t.finished:
	}
	s.Detach(r.Context().Err())
}

// missedComments is after how many comments that did not arrive the client is given up.
// Nothing else of a stream tells that it has vanished.
const missedComments = 2

// takeOver serves the stream outside of net/http, whose goroutines have larger stacks.
func (e *Events) takeOver(c net.Conn, header http.Header, t *eventConn, s *broker.Session, first []byte) {
	_ = c.SetDeadline(time.Time{})
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n")
	_ = header.Write(&head) // to memory
	head.WriteString("\r\n")
	head.Write(first)
	below := newConn(c, t.framing, "", vanishedAfter(e.broker, missedComments*e.HeartBeat))
	t.begin(below, head.Bytes())
	below.serve(&e.streams, eventReader{s})
}
