package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// electionTime is the shortest time in which servers choose another leader after they last
	// heard the one before.
	electionTime = 4 * time.Second
	// ledRetry is after how long a stream is asked again that no leader answered for.
	ledRetry = 50 * time.Millisecond
)

// checkLed returns an error where the leader of a stream may not have given an answer to what
// was asked at a time. A server that is cut off answers for a stream that has no leader in
// its view, and one that was paused takes itself for the leader until another one tells it.
// A majority has to have heard it so lately that it cannot have chosen another one.
func checkLed(info *jetstream.StreamInfo, asked time.Time) error {
	c := info.Cluster
	if c == nil {
		return nil // a server of its own
	}
	if c.Leader == "" {
		return fmt.Errorf("%w: the stream %s has no leader", driver.ErrUnavailable, info.Config.Name)
	}
	took, heard := time.Since(asked), 1
	for _, r := range c.Replicas {
		if r.Active > 0 && r.Active+took < electionTime { // 0 is one that was never heard
			heard++
		}
	}
	if 2*heard <= len(c.Replicas)+1 {
		return fmt.Errorf("%w: no majority has heard the leader of the stream %s lately", driver.ErrUnavailable, info.Config.Name)
	}
	return nil
}

// lookAt asks the leader about a stream, until it is sure that who answers leads.
func (l *link) lookAt(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	for {
		asked := time.Now()
		stream, err := l.js.Stream(ctx, name)
		if err != nil {
			return nil, err
		}
		info := stream.CachedInfo()
		if err = checkLed(info, asked); err == nil {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(ledRetry):
		}
	}
}

// askLeader returns what a stream's leader says of it, with how many messages it has on each
// subject of a filter.
func askLeader(ctx context.Context, l *link, stream, filter string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"subjects_filter": filter})
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	msg, err := l.conn.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+stream, body)
	if err != nil {
		return nil, unreachable(err)
	}
	var answer struct {
		jetstream.StreamInfo
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return nil, fmt.Errorf("relay: an answer of the server cannot be read: %w", err)
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	return &answer.StreamInfo, checkLed(&answer.StreamInfo, asked)
}

// countAtLeader returns how many messages a stream's leader has on a subject.
func countAtLeader(ctx context.Context, l *link, stream, subject string) (int64, error) {
	info, err := askLeader(ctx, l, stream, subject)
	if err != nil {
		return 0, err
	}
	return int64(info.State.Subjects[subject]), nil
}

// askDirect asks any server that has a stream, and has each message of its answer read until
// that is done.
func askDirect(ctx context.Context, l *link, stream string, request any, read func(*nats.Msg) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	inbox := nats.NewInbox()
	sub, err := l.conn.SubscribeSync(inbox)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := l.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return unreachable(err)
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return unreachable(err)
		}
		if done, err := read(msg); done || err != nil {
			return err
		}
	}
}
