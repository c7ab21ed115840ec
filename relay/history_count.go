package relay

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// CountDestinations counts what histories keep. See [driver.HistoryCounter].
func (s *historyStore) CountDestinations(ctx context.Context) (n int64, err error) {
	for _, h := range s.streams.all {
		state, err := s.stateOf(ctx, h)
		if err != nil {
			return 0, err
		}
		n += int64(state.NumSubjects)
	}
	return n, nil
}

// stateOf returns the state of a history's stream. It makes none where nothing has been kept yet.
func (s *historyStore) stateOf(ctx context.Context, h *history) (state jetstream.StreamState, err error) {
	if err := s.link.checkAsk(); err != nil {
		return state, err
	}
	name, err := s.link.js.StreamNameBySubject(ctx, h.prefix+".>")
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return state, nil
	}
	if err != nil {
		return state, storeError("cannot find the history "+h.policy.Name, err)
	}
	stream, err := s.link.js.Stream(ctx, name)
	if err != nil {
		return state, storeError("cannot count what is kept in "+h.policy.Name, err)
	}
	return stream.CachedInfo().State, nil
}
