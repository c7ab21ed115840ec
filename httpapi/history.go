package httpapi

import (
	"context"
	"net/http"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/problem"
)

// historyPermission begins the names of the permissions to clear histories, and to read
// those of other users: the destination follows.
const historyPermission = "/session/history"

// historyAPI shows and clears histories.
type historyAPI struct{ *api }

// withHistories refuses requests where the backend keeps no histories.
func (a historyAPI) withHistories(handle apiHandler) apiHandler {
	return func(ctx context.Context, r request) (any, error) {
		if a.broker.Driver().HistoryAdmin == nil {
			return nil, problem.New(http.StatusNotImplemented, "the backend of this server has no histories to manage")
		}
		return handle(ctx, r)
	}
}

// HistoryPolicy describes a history for operators.
type HistoryPolicy struct {
	Name        string `json:"name"`
	Match       string `json:"match"`
	MaxMessages int64  `json:"max_messages,omitempty"`
	MaxAge      string `json:"max_age,omitempty"`
	MaxBytes    int64  `json:"max_bytes,omitempty"`
}

// histories lists what is kept.
func (a historyAPI) histories(context.Context, request) (any, error) {
	all := []HistoryPolicy{}
	if store := a.broker.Driver().Histories; store != nil {
		for _, p := range store.Policies() {
			shown := HistoryPolicy{Name: p.Name, Match: p.Match.String(), MaxMessages: p.MaxMessages, MaxBytes: p.MaxBytes}
			if p.MaxAge > 0 {
				shown.MaxAge = p.MaxAge.String()
			}
			all = append(all, shown)
		}
	}
	return all, nil
}

// keptHistory returns the history that keeps the destination of a request, and its key.
func (a historyAPI) keptHistory(r request) (dest, key, history string, err error) {
	dest = r.URL.Query().Get("destination")
	key, ok := routingKey(dest)
	if !ok {
		return "", "", "", problem.New(http.StatusBadRequest, "the parameter destination has to name a topic, or a destination of a user such as /user/alice/queue/notifications")
	}
	if err := r.checkLength("destination", dest); err != nil {
		return "", "", "", err
	}
	for _, p := range a.broker.Driver().Histories.Policies() {
		if p.Match.Match(key) {
			return dest, key, p.Name, nil
		}
	}
	return dest, key, "", nil
}

func noHistory(dest string) error {
	return problem.New(http.StatusNotFound, "no history keeps "+dest+"; history.policies say which destinations are kept")
}

// readHistory shows a page of what is kept of a destination.
func (a historyAPI) readHistory(ctx context.Context, r request) (any, error) {
	dest, key, history, err := a.keptHistory(r)
	switch {
	case err != nil:
		return nil, err
	case !r.mayReadHistory(key):
		return nil, problem.New(http.StatusForbidden, "no permission to read the history of "+dest)
	case history == "":
		return nil, noHistory(dest)
	}
	limit, err := r.number("limit", MaxPeeked)
	if err != nil {
		return nil, err
	}
	since, err := r.time("since")
	if err != nil {
		return nil, err
	}
	until, err := r.time("until")
	if err != nil {
		return nil, err
	}
	page := driver.HistoryPage{History: history, Key: key, Since: since}
	if after := r.URL.Query().Get("after"); after != "" {
		page.After = driver.ParseStreamPosition(after)
	}
	answer, size, last := Peeked{Messages: []PeekedMessage{}}, 0, ""
	err = a.broker.Driver().HistoryAdmin.ReadHistory(ctx, page, func(m *driver.Message) bool {
		if !until.IsZero() && m.Timestamp >= until.UnixMilli() {
			return false
		}
		if n := len(answer.Messages); n >= limit || n > 0 && size+len(m.Body) > maxPeekedBytes {
			answer.Next = last
			return false
		}
		size, last = size+len(m.Body), m.Position.String()
		answer.Messages = append(answer.Messages, newPeekedMessage(m))
		return true
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// clearHistory removes what is kept of a destination.
func (a historyAPI) clearHistory(ctx context.Context, r request) (any, error) {
	dest, key, history, err := a.keptHistory(r)
	if err != nil {
		return nil, err
	}
	if permission := historyPermission + key; !r.principal.Permissions.MaySend(permission) {
		return nil, problem.New(http.StatusForbidden, "no send permission for "+permission)
	}
	if history == "" {
		return nil, noHistory(dest)
	}
	n, err := a.broker.Driver().HistoryAdmin.ClearHistory(ctx, history, key)
	if err != nil {
		return nil, err
	}
	return map[string]uint64{"cleared": n}, nil
}
