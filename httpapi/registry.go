package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// maxListed is how many entries one answer lists.
	maxListed = 1000
	// maxRead is how many are read at a time, of which a caller may see few.
	maxRead = 4 * maxListed
)

// userList is the answer to GET /api/users and GET /api/presence.
type userList struct {
	Users   []admin.UserInfo `json:"users"`
	Next    string           `json:"next,omitempty"`    // for the parameter after
	Missing []string         `json:"missing,omitempty"` // nodes that did not answer
}

// registryAPI says who is connected and what is subscribed to.
type registryAPI struct{ *api }

func (a registryAPI) users(ctx context.Context, r request) (any, error) {
	limit, err := r.number("limit", maxListed)
	if err != nil {
		return nil, err
	}
	order, err := r.order()
	if err != nil {
		return nil, err
	}
	if order != "" {
		users, missing := a.broker.FirstUsers(ctx, order, limit, r.maySee)
		return userList{Users: users, Missing: missing}, nil
	}
	users, next, missing := visible(ctx, r.URL.Query().Get("after"), limit,
		func(after string, n int) admin.Page[admin.UserInfo] { return a.broker.Users(ctx, after, n) },
		func(u admin.UserInfo) (string, bool) { return u.Name, r.maySee(u.Name) })
	return userList{Users: users, Next: next, Missing: missing}, nil
}

// visible returns the entries after a name that the caller may see, at most limit of
// them, and where to go on after. It reads on until there are so many, since where a
// page ends must not name what the caller may not see.
func visible[T any](ctx context.Context, after string, limit int, read func(after string, n int) admin.Page[T], see func(T) (name string, ok bool)) (seen []T, next string, missing []string) {
	seen = []T{}
	for n := maxListed; ctx.Err() == nil; n = maxRead {
		page := read(after, n)
		missing = page.Missing
		for _, item := range page.Items {
			name, ok := see(item)
			if !ok {
				continue
			}
			if len(seen) == limit {
				return seen, next, missing
			}
			seen, next = append(seen, item), name
		}
		if page.Next == "" {
			return seen, "", missing
		}
		after = page.Next
	}
	return seen, next, missing
}

func (a registryAPI) user(ctx context.Context, r request) (any, error) {
	name := r.userName()
	if !r.maySee(name) {
		return nil, problem.New(http.StatusForbidden, "no send permission for any destination of user "+name)
	}
	sessions, missing := a.broker.User(ctx, name)
	if len(sessions) == 0 && len(missing) == 0 {
		return nil, problem.New(http.StatusNotFound, "user "+name+" is not connected to any node")
	}
	return struct {
		Name     string              `json:"name"`
		Sessions []admin.SessionInfo `json:"sessions"`
		Missing  []string            `json:"missing,omitempty"`
	}{name, sessions, missing}, nil
}

func (a registryAPI) destinations(ctx context.Context, r request) (any, error) {
	limit, err := r.number("limit", maxListed)
	if err != nil {
		return nil, err
	}
	seen, next, missing := visible(ctx, r.URL.Query().Get("after"), limit,
		func(after string, n int) admin.Page[admin.DestinationInfo] {
			return a.broker.Destinations(ctx, after, n)
		},
		func(d admin.DestinationInfo) (string, bool) { return d.Destination, r.mayKnow(d.Destination) })
	return struct {
		Destinations []admin.DestinationInfo `json:"destinations"`
		Next         string                  `json:"next,omitempty"`
		Missing      []string                `json:"missing,omitempty"`
	}{seen, next, missing}, nil
}

func (a registryAPI) presence(ctx context.Context, r request) (any, error) {
	dest := r.URL.Query().Get("destination")
	if !strings.HasPrefix(dest, "/topic/") || len(dest) == len("/topic/") || destination.HasWildcard(dest) {
		return nil, problem.New(http.StatusBadRequest, "the parameter destination has to name one topic, such as /topic/chat.lobby")
	}
	if !r.maySubscribe(dest) {
		return nil, problem.New(http.StatusForbidden, "no subscribe permission for "+dest)
	}
	page := a.broker.Present(ctx, dest)
	return userList{Users: page.Items, Missing: page.Missing}, nil
}

// disconnect ends the sessions of a user, or one of them.
func (a registryAPI) disconnect(ctx context.Context, r request) (any, error) {
	name, query := r.userName(), r.URL.Query()
	if permission := destination.DisconnectPrefix + destination.EscapeSegment(name); !r.principal.Permissions.MaySend(permission) {
		return nil, problem.New(http.StatusForbidden, "no send permission for "+permission)
	}
	reason, err := r.reason("the session was ended by the application")
	if err != nil {
		return nil, err
	}
	if query.Has("for") || query.Has("until") {
		if query.Has("session") {
			return nil, problem.New(http.StatusBadRequest, "a ban is of a user, so it does not go with the parameter session")
		}
		return a.operators.ban(ctx, r, admin.Ban{User: name, Reason: query.Get("reason")})
	}
	if query.Has("replace") {
		return nil, problem.New(http.StatusBadRequest, "the parameter replace is of a ban: it goes with for or until")
	}
	n, missing := a.broker.Disconnect(ctx, name, query.Get("session"), reason)
	a.log.Info("sessions were ended on request", "user", name, "session", query.Get("session"), "by", r.principal.Name, "sessions", n)
	return Ended{Disconnected: n, Missing: missing, Lost: a.operators.lost(missing)}, nil
}
