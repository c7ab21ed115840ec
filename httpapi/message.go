package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// maxLookedAt is how many messages of a queue one request looks at, for those that a filter
	// matches.
	maxLookedAt = 5000
	// maxSearched and searchTime bound a request that looks for one message, which looks at
	// searchStep messages at a time.
	maxSearched = 20_000
	searchTime  = 10 * time.Second
	searchStep  = 500
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
	p := driver.Peek{Limit: MaxPeeked, MaxBytes: maxPeekedBytes, After: r.URL.Query().Get("after")}
	s := search{queue: name, began: time.Now()}
	for !s.over() {
		seen, err := a.broker.PeekQueue(ctx, name, p)
		if errors.Is(err, driver.ErrBadCursor) {
			return nil, badCursor()
		}
		if err != nil {
			return nil, err
		}
		s.looked += len(seen.Messages)
		for _, m := range seen.Messages {
			if m.ID == id {
				return newPeekedMessage(m), nil
			}
		}
		if p.After = seen.Next; p.After == "" {
			break
		}
	}
	return nil, s.failed(p.After)
}

// search is for one message of a queue.
type search struct {
	queue  string
	began  time.Time
	looked int // at so many messages
}

// over reports whether a request has looked at enough.
func (s *search) over() bool { return s.looked >= maxSearched || time.Since(s.began) >= searchTime }

// failed says that the message was not found, and where the search can go on, or that it is not in
// the queue if next is "".
func (s *search) failed(next string) error {
	if next == "" {
		return problem.New(http.StatusNotFound, "there is no message with that id in "+s.queue+"; a consumer may have acknowledged it")
	}
	p := problem.New(http.StatusNotFound, fmt.Sprintf("there is no message with that id among the %d messages of %s that were looked at, and there are more; go on with after=%s", s.looked, s.queue, next))
	p.Next = next
	return p
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
	choose := func(m *driver.Message) (string, driver.QueueOptions) {
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
	}
	s := search{queue: name, began: time.Now()}
	moved, next := false, r.URL.Query().Get("after")
	for more := true; more; more = err == nil && !moved && next != "" && !s.over() {
		moved, next, err = a.queues.MoveMessage(ctx, name, id, next, searchStep, choose)
		s.looked += searchStep
	}
	switch {
	case refused != nil:
		return nil, refused
	case errors.Is(err, driver.ErrBadCursor):
		return nil, badCursor()
	case err != nil:
		return nil, err
	case !moved:
		return nil, s.failed(next)
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
