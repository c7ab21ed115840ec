package relay

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// CountQueues counts queues. See [driver.QueueCounter].
func (s *queueStore) CountQueues(ctx context.Context) (n int64, err error) {
	if err := s.link.checkAsk(); err != nil {
		return 0, err
	}
	stream, err := s.link.js.Stream(ctx, queuePlace(s.link.prefix, "/queue/any", driver.QueueOptions{}).stream)
	switch {
	case err == nil:
		n = int64(stream.CachedInfo().State.NumSubjects)
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, storeError("cannot count the queues", err)
	}
	names, err := s.link.queueStreams(ctx, boundedPrefix(s.link.prefix))
	if err != nil {
		return 0, storeError("cannot count the queues", err)
	}
	return n + int64(len(names)), nil
}
