package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
)

// QueueAPIOptions make a [QueueAPI].
type QueueAPIOptions struct {
	Broker        *broker.Broker
	Authenticator broker.Authenticator
	Admin         broker.QueueAdmin
	Logger        *slog.Logger
}

// QueueAPI returns the handler of what operators do with queues:
//
//	GET  /api/queues                                  all queues
//	GET  /api/queues?destination=/queue/a             one queue
//	POST /api/queues/purge?destination=/queue/a       remove its messages
//	POST /api/queues/move?destination=/queue/DLQ.a    move dead letters back to where they came from,
//	     &to=/queue/b&limit=500                       or to another queue
//
// Requests carry a token, or a login and passcode as basic authentication. One
// sees and purges the queues that one may subscribe to, and moves messages to
// those that one may send to. Errors are problem documents (RFC 9457).
func QueueAPI(o QueueAPIOptions) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	a := &queueAPI{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/queues", a.authenticated(a.list))
	mux.HandleFunc("POST /api/queues/purge", a.authenticated(a.purge))
	mux.HandleFunc("POST /api/queues/move", a.authenticated(a.move))
	// Authentication is never ambient, but a page may still know a login.
	return http.NewCrossOriginProtection().Handler(mux)
}

type queueAPI struct{ QueueAPIOptions }

// problem is an error as HTTP clients read it.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

func refuse(status int, detail string) *problem {
	return &problem{http.StatusText(status), status, detail}
}

type request struct {
	*http.Request
	principal *auth.Principal
}

func (a *queueAPI) authenticated(handle func(ctx context.Context, r request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := a.serve(r, handle)
		w.Header().Set("Cache-Control", "no-store")
		if err != nil {
			a.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (a *queueAPI) serve(r *http.Request, handle func(ctx context.Context, r request) (any, error)) (any, error) {
	c := auth.Credentials{Authorization: r.Header.Get("Authorization")}
	if login, passcode, ok := r.BasicAuth(); ok {
		c = auth.Credentials{Login: login, Passcode: passcode}
	}
	p, err := a.Authenticator.Authenticate(r.Context(), c)
	if errors.Is(err, auth.ErrUnauthenticated) {
		return nil, refuse(http.StatusUnauthorized, "send a valid token as Authorization: Bearer, or a login and passcode")
	}
	if err != nil {
		return nil, err
	}
	return handle(r.Context(), request{r, p})
}

func (a *queueAPI) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, broker.ErrNoQueue):
		p = refuse(http.StatusNotFound, "the queue has neither messages nor consumers")
	default:
		a.Logger.Warn("a request about queues failed", "path", r.URL.Path, "error", err)
		p = refuse(http.StatusServiceUnavailable, "the message store is not available; the broker's log says why")
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// queue returns the queue that a request names, when the principal may consume it.
func (r request) queue() (string, error) {
	name := r.URL.Query().Get("destination")
	if !isQueue(name) {
		return "", refuse(http.StatusBadRequest, "the parameter destination has to name one queue, such as /queue/orders")
	}
	if !r.maySubscribe(name) {
		return "", refuse(http.StatusForbidden, "no subscribe permission for "+name)
	}
	return name, nil
}

func isQueue(name string) bool {
	return strings.HasPrefix(name, "/queue/") && len(name) > len("/queue/") && !auth.HasWildcard(name)
}

func (r request) maySubscribe(name string) bool {
	p, err := auth.ParsePattern(name)
	return err == nil && r.principal.Permissions.MaySubscribe(p)
}

func (a *queueAPI) list(ctx context.Context, r request) (any, error) {
	if r.URL.Query().Has("destination") {
		name, err := r.queue()
		if err != nil {
			return nil, err
		}
		return a.Admin.Queue(ctx, name)
	}
	all, err := a.Admin.ListQueues(ctx)
	if err != nil {
		return nil, err
	}
	seen := make([]broker.QueueInfo, 0, len(all))
	for _, q := range all {
		if r.maySubscribe(q.Name) {
			seen = append(seen, q)
		}
	}
	return seen, nil
}

func (a *queueAPI) purge(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	n, err := a.Admin.PurgeQueue(ctx, name)
	if err != nil {
		return nil, err
	}
	a.Logger.Warn("a queue was purged", "destination", name, "user", r.principal.Name, "messages", n)
	return map[string]uint64{"purged": n}, nil
}

// MostMoved is how many messages one request can move.
const MostMoved = 500

func (a *queueAPI) move(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	to := r.URL.Query().Get("to")
	if to != "" && (!isQueue(to) || to == name) {
		return nil, refuse(http.StatusBadRequest, "the parameter to has to name another queue")
	}
	if to != "" && !r.principal.Permissions.MaySend(to) {
		return nil, refuse(http.StatusForbidden, "no send permission for "+to)
	}
	limit := MostMoved
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > MostMoved {
			return nil, refuse(http.StatusBadRequest, "the parameter limit has to be 1 to "+strconv.Itoa(MostMoved))
		}
	}
	left := 0
	moved, err := a.Admin.MoveQueue(ctx, name, limit, func(m *broker.Message) (string, broker.QueueOptions) {
		target := to
		if target == "" && m.Dead != nil {
			target = m.Dead.Origin
		}
		if !isQueue(target) || !r.principal.Permissions.MaySend(target) {
			left++
			return "", broker.QueueOptions{}
		}
		return target, a.Broker.QueueOptions(target)
	})
	if err != nil {
		return nil, err
	}
	a.Logger.Info("messages were moved", "destination", name, "to", to, "user", r.principal.Name, "messages", moved)
	return map[string]int{"moved": moved, "left": left}, nil
}
