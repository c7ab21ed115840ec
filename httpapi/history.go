package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

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
	// Kept is what it keeps now, for those who may read all of it.
	Kept *HistoryUsage `json:"kept,omitempty"`
}

// HistoryUsage is how much a history keeps.
type HistoryUsage struct {
	Destinations uint64 `json:"destinations"`
	Messages     uint64 `json:"messages"`
	Bytes        uint64 `json:"bytes"` // as they are stored, with what the store adds
	Oldest       string `json:"oldest,omitempty"`
}

// histories lists the histories, with what they keep.
func (a historyAPI) histories(ctx context.Context, r request) (any, error) {
	all := []HistoryPolicy{}
	if store := a.broker.Driver().Histories; store != nil {
		for _, p := range store.Policies() {
			shown := HistoryPolicy{Name: p.Name, Match: p.Match.String(), MaxMessages: p.MaxMessages, MaxBytes: p.MaxBytes}
			if p.MaxAge > 0 {
				shown.MaxAge = p.MaxAge.String()
			}
			if r.mayReadHistory(p.Match.String()) && a.broker.Driver().HistoryAdmin != nil {
				var err error
				if shown.Kept, err = a.usage(ctx, p.Name); err != nil {
					return nil, err
				}
			}
			all = append(all, shown)
		}
	}
	return all, nil
}

// usage counts what a history keeps.
func (a historyAPI) usage(ctx context.Context, history string) (*HistoryUsage, error) {
	u, err := a.broker.Driver().HistoryAdmin.HistoryUsage(ctx, history)
	if err != nil {
		return nil, err
	}
	kept := &HistoryUsage{Destinations: u.Destinations, Messages: u.Messages, Bytes: u.Bytes}
	if !u.Oldest.IsZero() {
		kept.Oldest = u.Oldest.UTC().Format(time.RFC3339)
	}
	return kept, nil
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
		if page.After = driver.ParseStreamPosition(after); page.After.Epoch == driver.NoEpoch {
			return nil, badHistoryCursor()
		}
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
	if errors.Is(err, driver.ErrBadCursor) {
		return nil, badHistoryCursor()
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func badHistoryCursor() error {
	return problem.New(http.StatusBadRequest, "the parameter after has to be the next of an answer for this history, or a message-id of it; the history may have been restored or made again since: begin without it")
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
