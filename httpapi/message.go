package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// maxLookedAt is how many messages of a queue one request looks at, for one of them or
	// for those that a filter matches.
	maxLookedAt = 5000
)

// Purged is the answer to a request that removes messages.
type Purged struct {
	Purged uint64 `json:"purged"`
	// Next is the parameter after of the next request, if there are more messages to check.
	Next string `json:"next,omitempty"`
}

// purgeSome removes the messages that a filter matches.
func (a queueAPI) purgeSome(ctx context.Context, r request, name string, match func(*driver.Message) bool) (any, error) {
	n, next, err := a.queues.RemoveMessages(ctx, name, r.URL.Query().Get("after"), maxLookedAt, match)
	if errors.Is(err, driver.ErrBadCursor) {
		return nil, badCursor()
	}
	if err != nil {
		return nil, err
	}
	a.log.Info("messages of a queue were removed", "destination", name, "user", r.principal.Name, "messages", n)
	return Purged{Purged: uint64(n), Next: next}, nil
}

func badCursor() error {
	return problem.New(http.StatusBadRequest, "the parameter after has to be the next of an answer for this queue")
}

// message shows one message of a queue to those who may consume it.
func (a queueAPI) message(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	id, err := r.messageID()
	if err != nil {
		return nil, err
	}
	p := driver.Peek{Limit: MaxPeeked, MaxBytes: maxPeekedBytes}
	for looked := 0; looked < maxLookedAt; looked += MaxPeeked {
		seen, err := a.broker.PeekQueue(ctx, name, p)
		if err != nil {
			return nil, err
		}
		for _, m := range seen.Messages {
			if m.ID == id {
				return newPeekedMessage(m), nil
			}
		}
		if p.After = seen.Next; p.After == "" {
			break
		}
	}
	return nil, noMessage(name)
}

func noMessage(queue string) error {
	return problem.New(http.StatusNotFound, "there is no message with that id in "+queue+"; a consumer may have acknowledged it")
}

// requeue moves one message back to where it came from, or to another queue.
func (a queueAPI) requeue(ctx context.Context, r request) (any, error) {
	name, err := r.queue()
	if err != nil {
		return nil, err
	}
	id, err := r.messageID()
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
	var refused error
	target := ""
	moved, err := a.queues.MoveMessage(ctx, name, id, func(m *driver.Message) (string, driver.QueueOptions) {
		if target = to; target == "" && m.Dead != nil {
			target = m.Dead.Origin
		}
		switch {
		case target == "":
			refused = problem.New(http.StatusBadRequest, "the message is no dead letter; say where it goes with the parameter to")
		case !isQueue(target) || a.broker.CheckDestination(target) != nil || !r.principal.Permissions.MaySend(target):
			refused = problem.New(http.StatusForbidden, "no send permission for "+target)
		default:
			return target, a.broker.QueueOptions(target)
		}
		return "", driver.QueueOptions{}
	})
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, err
	case !moved:
		return nil, noMessage(name)
	}
	return struct {
		Moved string `json:"moved"`
		To    string `json:"to"`
	}{id, target}, nil
}

// routingKey is what a topic, or a destination of a user, is kept under.
func routingKey(dest string) (string, bool) {
	kind, err := destination.KindOf(dest)
	switch {
	case err != nil || destination.HasWildcard(dest):
		return "", false
	case kind == destination.Topic:
		return dest, true
	case kind != destination.User:
		return "", false
	}
	user, own, ok := destination.SplitUser(dest)
	return destination.UserKey(destination.UnescapeSegment(user), own), ok
}
