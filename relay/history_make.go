package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	// makeLockAge is after how long a node that was to make a stream is taken for dead.
	makeLockAge = 10 * time.Second
	// makeLook is how often it is looked whether another node has made it.
	makeLook = 20 * time.Millisecond
)

// makeStream makes the stream of a history that seems to have none, and returns its name. It
// reports false where another node was faster, or it was there.
//
// A cluster of servers refuses a second stream for the same subjects. A server on its own
// looks for others first and makes the stream afterwards, so two nodes that ask at the same
// time would both get theirs, and each message would be in both. A stream whose name
// is the same for all nodes is made by one of them alone, so it serves as a lock.
//
// It goes on if its caller leaves, such as a session that ends: a lock that is left behind
// keeps all others waiting.
func (s *historyStreams) makeStream(caller context.Context, h *history) (name string, made bool, err error) {
	if s.link.conn.ConnectedClusterName() == "" {
		unlock, err := s.lockMaking(caller, h)
		if err != nil {
			return "", false, storeError("cannot make the history "+h.policy.Name, err)
		}
		defer unlock()
	}
	ctx, done := s.outliving(caller)
	defer done()
	if s.link.conn.ConnectedClusterName() == "" {
		name, err := s.link.js.StreamNameBySubject(ctx, h.prefix+".>")
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return name, false, err
		}
	}
	name = h.base + "_" + newEpoch("")
	stream, err := createRetrying(ctx, func() (jetstream.Stream, error) { return s.link.js.CreateStream(ctx, s.config(h, name)) })
	if err == nil {
		s.elections.know(name, stream.CachedInfo())
		return name, true, nil
	}
	found, again := s.link.js.StreamNameBySubject(ctx, h.prefix+".>")
	if again != nil {
		return "", false, storeError("cannot make the history "+h.policy.Name, err)
	}
	return found, false, s.awaitLeader(ctx, found)
}

// outliving returns a context for what is not to be left half done if its caller leaves.
func (s *historyStreams) outliving(caller context.Context) (ctx context.Context, done func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), setupTimeout)
	stop := context.AfterFunc(s.link.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// lockMaking waits until no other node makes the stream. A lock that its node left behind
// is removed.
func (s *historyStreams) lockMaking(ctx context.Context, h *history) (unlock func(), err error) {
	name := streamBase(s.link.prefix) + "_making_" + h.policy.Name
	lock := jetstream.StreamConfig{
		Name: name, Description: "stompbox: a node makes a history, " + nuid.Next(), Subjects: []string{s.link.prefix + ".making." + h.policy.Name},
		Storage: jetstream.FileStorage, MaxMsgs: 1,
	}
	for {
		create, done := s.outliving(ctx)
		made, err := createRetrying(create, func() (jetstream.Stream, error) { return s.link.js.CreateStream(create, lock) })
		done()
		if err == nil && made.CachedInfo().Config.Description == lock.Description {
			return func() {
				ctx, cancel := context.WithTimeout(s.link.ctx, setupTimeout)
				defer cancel()
				_ = s.link.js.DeleteStream(ctx, name)
			}, nil
		}
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, err
		}
		if theirs, err := s.link.js.Stream(ctx, name); err == nil && theirs.CachedInfo().TimeStamp.Sub(theirs.CachedInfo().Created) > makeLockAge {
			_ = s.link.js.DeleteStream(ctx, name)
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(makeLook):
		}
	}
}
