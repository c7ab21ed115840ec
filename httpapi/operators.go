package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

// Names of permissions of operators, which send permission gives.
const (
	nodesPermission = "/session/nodes"
	bansPermission  = "/session/bans"
)

const (
	// maxReason is the longest reason in bytes.
	maxReason = 200
	// maxBan is the longest ban.
	maxBan = 10 * 365 * 24 * time.Hour
	// maxTokenID is the longest jti claim that can be banned, in bytes.
	maxTokenID = 512
)

// Ended is the answer to a request that ends sessions or subscriptions.
type Ended struct {
	Disconnected int      `json:"disconnected"`
	Missing      []string `json:"missing,omitempty"` // nodes that did not answer
	// Kept says of a ban that it holds over restarts of all nodes; KeepError why not.
	Kept      *bool  `json:"kept,omitempty"`
	KeepError string `json:"keep_error,omitempty"`
}

// reason reads the parameter reason.
func (r request) reason(otherwise string) (string, error) {
	reason := r.URL.Query().Get("reason")
	if len(reason) > maxReason {
		return "", problem.New(http.StatusBadRequest, "the parameter reason may have "+strconv.Itoa(maxReason)+" bytes")
	}
	if reason == "" {
		return otherwise, nil
	}
	return reason, nil
}

// order reads the parameter order.
func (r request) order() (broker.Order, error) {
	switch order := broker.Order(r.URL.Query().Get("order")); order {
	case "", "name":
		return "", nil
	case broker.BySlowness, broker.ByBytes:
		return order, nil
	}
	return "", problem.New(http.StatusBadRequest, "the parameter order has to be name, slowest or bytes")
}

// may refuses who has no send permission.
func (r request) may(permission string) error {
	if !r.principal.Permissions.MaySend(permission) {
		return problem.New(http.StatusForbidden, "no send permission for "+permission)
	}
	return nil
}

// sessions lists sessions of all users that the caller may see.
func (a *api) sessions(ctx context.Context, r request) (any, error) {
	limit, err := r.number("limit", maxListed)
	if err != nil {
		return nil, err
	}
	order, err := r.order()
	if err != nil {
		return nil, err
	}
	sessions, missing := a.broker.Sessions(ctx, order, limit, r.maySee)
	if sessions == nil {
		sessions = []broker.SessionInfo{}
	}
	return struct {
		Sessions []broker.SessionInfo `json:"sessions"`
		Missing  []string             `json:"missing,omitempty"`
	}{sessions, missing}, nil
}

// nodes lists the nodes and what they do.
func (a *api) nodes(ctx context.Context, r request) (any, error) {
	if err := r.may(nodesPermission); err != nil {
		return nil, err
	}
	nodes, missing := a.broker.Nodes(ctx)
	return struct {
		Nodes   []broker.NodeInfo `json:"nodes"`
		Missing []string          `json:"missing,omitempty"`
	}{nodes, missing}, nil
}

// unsubscribe ends subscriptions of a user.
func (a *api) unsubscribe(ctx context.Context, r request) (any, error) {
	name, query := r.PathValue("name"), r.URL.Query()
	if err := r.may(destination.DisconnectPrefix + destination.EscapeSegment(name)); err != nil {
		return nil, err
	}
	reason, err := r.reason("the subscription was ended by the application")
	if err != nil {
		return nil, err
	}
	u := broker.Unsubscription{User: name, Session: query.Get("session"), Subscription: query.Get("subscription"), Destination: query.Get("destination"), Reason: reason}
	if u.Subscription == "" && u.Destination == "" {
		return nil, problem.New(http.StatusBadRequest, "say which subscriptions: with the parameter destination or subscription")
	}
	n, missing := a.broker.Unsubscribe(ctx, u)
	return struct {
		Unsubscribed int      `json:"unsubscribed"`
		Missing      []string `json:"missing,omitempty"`
	}{n, missing}, nil
}

// bannedWho reads whom a request about bans is about, and checks the permission.
func (r request) bannedWho() (broker.Ban, error) {
	query := r.URL.Query()
	ban := broker.Ban{User: query.Get("user"), Token: query.Get("token"), By: r.principal.Name}
	switch {
	case (ban.User == "") == (ban.Token == ""):
		return ban, problem.New(http.StatusBadRequest, "say who, with one of the parameters user and token, which is the jti claim of a token")
	case len(ban.Token) > maxTokenID || len(ban.User) > maxTokenID*2:
		return ban, problem.New(http.StatusBadRequest, "the name or the id of the token is too long")
	case ban.User != "":
		return ban, r.may(destination.DisconnectPrefix + destination.EscapeSegment(ban.User))
	}
	return ban, r.may(bansPermission)
}

// banEnd reads until when a ban is.
func (r request) banEnd() (time.Time, error) {
	query, now := r.URL.Query(), time.Now()
	var end time.Time
	switch duration, err := time.ParseDuration(query.Get("for")); {
	case query.Has("for") == query.Has("until"):
		return end, problem.New(http.StatusBadRequest, "say how long, with one of the parameters for, such as 24h, and until, such as 2026-01-31T12:00:00Z")
	case query.Has("for") && (err != nil || duration > maxBan):
		return end, problem.New(http.StatusBadRequest, "the parameter for has to be a duration up to ten years, such as 24h")
	case query.Has("for"):
		end = now.Add(duration)
	default:
		if end, err = time.Parse(time.RFC3339, query.Get("until")); err != nil {
			return end, problem.New(http.StatusBadRequest, "the parameter until has to be a time such as 2026-01-31T12:00:00Z")
		}
	}
	if !end.After(now) || end.After(now.Add(maxBan)) {
		return end, problem.New(http.StatusBadRequest, "the end of the ban has to be later than now, and within ten years")
	}
	return end.UTC(), nil
}

// addBan keeps a user or a token out.
func (a *api) addBan(ctx context.Context, r request) (any, error) {
	ban, err := r.bannedWho()
	if err != nil {
		return nil, err
	}
	return a.ban(ctx, r, ban)
}

func (a *api) ban(ctx context.Context, r request, ban broker.Ban) (any, error) {
	var err error
	if ban.Until, err = r.banEnd(); err != nil {
		return nil, err
	}
	if ban.Reason, err = r.reason(""); err != nil {
		return nil, err
	}
	ban.By = r.principal.Name
	result, err := a.broker.Ban(ctx, ban)
	if err != nil {
		return nil, err
	}
	return ended(result), nil
}

func ended(r broker.BanResult) Ended {
	answer := Ended{Disconnected: r.Disconnected, Missing: r.Missing, Kept: &r.Kept}
	if r.KeepErr != nil {
		answer.KeepError = r.KeepErr.Error()
	}
	return answer
}

// liftBan lets a user or a token in again.
func (a *api) liftBan(ctx context.Context, r request) (any, error) {
	ban, err := r.bannedWho()
	if err != nil {
		return nil, err
	}
	found, result := a.broker.Unban(ctx, ban)
	if !found {
		return nil, problem.New(http.StatusNotFound, "there is no such ban")
	}
	return ended(result), nil
}

// listBans lists the bans that the caller may make.
func (a *api) listBans(_ context.Context, r request) (any, error) {
	seen := []broker.Ban{}
	tokens := r.may(bansPermission) == nil
	for _, ban := range a.broker.Bans() {
		if ban.User == "" && tokens || ban.User != "" && r.may(destination.DisconnectPrefix+destination.EscapeSegment(ban.User)) == nil {
			seen = append(seen, ban)
		}
	}
	return struct {
		Bans []broker.Ban `json:"bans"`
	}{seen}, nil
}
