package relay

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// CountDestinations counts what histories keep. See [driver.HistoryCounter].
func (s *historyStore) CountDestinations(ctx context.Context) (n int64, err error) {
	for _, h := range s.streams.all {
		if err := s.link.checkAsk(); err != nil {
			return 0, err
		}
		name, err := s.link.js.StreamNameBySubject(ctx, h.prefix+".>")
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // nothing has been kept yet
		}
		if err != nil {
			return 0, storeError("cannot find the history "+h.policy.Name, err)
		}
		stream, err := s.link.js.Stream(ctx, name)
		if err != nil {
			return 0, storeError("cannot count the destinations of "+h.policy.Name, err)
		}
		n += int64(stream.CachedInfo().State.NumSubjects)
	}
	return n, nil
}
