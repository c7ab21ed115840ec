package broker

import (
	"context"
	"sync"
)

const (
	// maxReplaying is how many replays of a node read from their history at a time, and
	// maxUserReplaying how many of them are of one user. Each has a page of messages.
	maxReplaying     = 64
	maxUserReplaying = 8
)

// replaySlots bound how many replays read at a time. One that waits for its client has
// none, so a client that reads slowly does not hold up others. It is safe for concurrent use.
type replaySlots struct {
	all chan struct{}

	mu    sync.Mutex // guards the following
	users map[string]*userSlots
}

type userSlots struct {
	slots chan struct{}
	uses  int // by those that have or want one
}

func newReplaySlots() *replaySlots {
	return &replaySlots{all: make(chan struct{}, maxReplaying), users: make(map[string]*userSlots)}
}

// take waits for a slot. It returns what gives it back, or false once ctx is done.
func (r *replaySlots) take(ctx context.Context, user string) (release func(), ok bool) {
	theirs := r.use(user)
	taken := 0
	release = func() {
		if taken == 2 {
			<-r.all
		}
		if taken > 0 {
			<-theirs.slots
		}
		r.leave(user, theirs)
	}
	for _, slots := range []chan struct{}{theirs.slots, r.all} {
		select {
		case slots <- struct{}{}:
			taken++
		case <-ctx.Done():
			release()
			return nil, false
		}
	}
	return release, true
}

func (r *replaySlots) use(user string) *userSlots {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[user]
	if u == nil {
		u = &userSlots{slots: make(chan struct{}, maxUserReplaying)}
		r.users[user] = u
	}
	u.uses++
	return u
}

func (r *replaySlots) leave(user string, u *userSlots) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.uses--; u.uses == 0 {
		delete(r.users, user)
	}
}
