package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// sweepEvery is how often consumers are looked for that a queue left behind, and
	// sweepAge is how old those are at least: a node that has just made one has not
	// pulled from it yet.
	sweepEvery = time.Minute
	sweepAge   = time.Minute
)

// sweepConsumers removes the consumers that no node reads and that remember nothing. A
// reader that closes removes its own, but not while a message is held, while its last
// pull has not run out, or when its node dies.
func (s *queueStore) sweepConsumers(ctx context.Context, now time.Time) error {
	if err := s.link.checkAsk(); err != nil {
		return err
	}
	streams, err := s.streams.names(ctx)
	if err != nil {
		return err
	}
	open := s.readers.consumers()
	for _, name := range streams {
		stream, err := s.link.js.Stream(ctx, name)
		if err != nil {
			return storeError("cannot look at "+name, err)
		}
		consumers := stream.ListConsumers(ctx)
		for info := range consumers.Info() {
			if _, used := open[pullSubject(name, info.Name)]; used || !isIdle(info) || now.Sub(info.Created) < sweepAge {
				continue
			}
			if err := stream.DeleteConsumer(ctx, info.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return storeError("cannot remove a consumer of "+name, err)
			}
		}
		if err := consumers.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return storeError("cannot list the consumers of "+name, err)
		}
	}
	return nil
}

// isIdle reports whether no node pulls from a consumer, and it remembers nothing.
func isIdle(info *jetstream.ConsumerInfo) bool {
	return info.NumAckPending == 0 && info.NumRedelivered == 0 && info.NumWaiting == 0
}
