package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

// queueAPI shows and mends queues.
type queueAPI struct{ *api }

// withQueues refuses requests where the backend keeps no queues.
func (a queueAPI) withQueues(handle apiHandler) apiHandler {
	return func(ctx context.Context, r request) (any, error) {
		if a.queues == nil {
			return nil, problem.New(http.StatusNotImplemented, "the backend of this server has no queues to manage")
		}
		return handle(ctx, r)
	}
}

func isQueue(name string) bool {
	return strings.HasPrefix(name, "/queue/") && len(name) > len("/queue/") && !destination.HasWildcard(name)
}

func (a queueAPI) list(ctx context.Context, r request) (any, error) {
	if r.URL.Query().Has("destination") {
		name, err := r.queue()
		if err != nil {
			return nil, err
		}
		q, err := a.queues.Queue(ctx, name)
		if err != nil {
			return nil, err
		}
		shown := []driver.QueueInfo{q}
		a.countHeld(ctx, shown)
		return shown[0], nil
	}
	all, err := a.queues.ListQueues(ctx)
	if err != nil {
		return nil, err
	}
	seen := make([]driver.QueueInfo, 0, len(all))
	for _, q := range all {
		if r.maySubscribe(q.Name) {
			seen = append(seen, q)
		}
	}
	a.countHeld(ctx, seen)
	return seen, nil
}

// countHeld asks the nodes what their consumers hold: the store counts what they gave back,
// too, until it is delivered again. Where a node does not answer, that count stays.
func (a queueAPI) countHeld(ctx context.Context, all []driver.QueueInfo) {
	if !slices.ContainsFunc(all, func(q driver.QueueInfo) bool { return q.Held > 0 }) {
		return
	}
	held, missing := a.broker.HeldMessages(ctx)
	if len(missing) > 0 {
		return
	}
	for i := range all {
		all[i].Held = min(all[i].Held, held[all[i].Name])
	}
}

func (a queueAPI) purge(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	filter, err := r.messageFilter()
	if err != nil {
		return nil, err
	}
	if filter != nil {
		return a.purgeSome(ctx, r, name, filter)
	}
	n, err := a.queues.PurgeQueue(ctx, name)
	if err != nil {
		return nil, err
	}
	a.log.Info("a queue was purged", "destination", name, "user", r.principal.Name, "messages", n)
	return Purged{Purged: n}, nil
}

// MaxMoved is how many messages one request can move.
const MaxMoved = 500

func (a queueAPI) move(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	to := r.URL.Query().Get("to")
	if to != "" && (!isQueue(to) || to == name) {
		return nil, problem.New(http.StatusBadRequest, "the parameter to has to name another queue")
	}
	if err := r.checkLength("to", to); err != nil {
		return nil, err
	}
	if to != "" && !r.principal.Permissions.MaySend(to) {
		return nil, problem.New(http.StatusForbidden, "no send permission for "+to)
	}
	limit, err := r.number("limit", MaxMoved)
	if err != nil {
		return nil, err
	}
	left := make(map[string]bool) // by message id: some are looked at twice
	moved, err := a.queues.MoveQueue(ctx, name, limit, func(m *driver.Message) (string, driver.QueueOptions) {
		target := to
		if target == "" && m.Dead != nil {
			target = m.Dead.Origin
		}
		if !isQueue(target) || a.broker.CheckDestination(target) != nil || !r.principal.Permissions.MaySend(target) {
			left[m.ID] = true
			return "", driver.QueueOptions{}
		}
		return target, a.broker.QueueOptions(target)
	})
	if err != nil {
		return nil, err
	}
	a.log.Info("messages were moved", "destination", name, "to", to, "user", r.principal.Name, "messages", moved)
	return map[string]int{"moved": moved, "left": len(left)}, nil
}
