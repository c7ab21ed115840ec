package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// maxUnderWay is how many requests of one user are worked on at a time: a list may take
	// many milliseconds of a processor, on each node.
	maxUnderWay = 2
	// turnPatience is how long a request waits for those before it.
	turnPatience = 5 * time.Second
)

// turns let each user have a few requests under way at a time. It is safe for concurrent use.
type turns struct {
	mu     sync.Mutex // guards the following
	byUser map[string]*turn
}

type turn struct {
	slots chan struct{}
	users int // requests that have one or wait, under the lock of turns
}

// take waits until it is the turn of a request, which calls done when it is over. It reports
// false where that would take too long, or ctx has ended.
func (t *turns) take(ctx context.Context, user string, patience time.Duration) (done func(), ok bool) {
	t.mu.Lock()
	theirs := t.byUser[user]
	if theirs == nil {
		if t.byUser == nil {
			t.byUser = make(map[string]*turn)
		}
		theirs = &turn{slots: make(chan struct{}, maxUnderWay)}
		t.byUser[user] = theirs
	}
	theirs.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if theirs.users--; theirs.users == 0 {
			delete(t.byUser, user)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case theirs.slots <- struct{}{}:
		return func() { <-theirs.slots; leave() }, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}

// awaitTurn is take for a request.
func (a *api) awaitTurn(r *http.Request, user string) (done func(), err error) {
	done, ok := a.turns.take(r.Context(), user, turnPatience)
	if ok {
		return done, nil
	}
	a.countLimit(r, user, "user_requests_under_way")
	p := problem.New(http.StatusTooManyRequests, fmt.Sprintf("%d of your requests are under way on this node, and this one has waited %s for them", maxUnderWay, turnPatience))
	p.Code, p.RetryAfter = broker.CodeMessageRate, turnPatience
	return nil, p
}
