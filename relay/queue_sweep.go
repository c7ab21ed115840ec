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
	sweepEvery = 20 * time.Second
	sweepAge   = 30 * time.Second
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
		for _, info := range drain(consumers.Info()) {
			if _, used := open[pullSubject(name, info.Name)]; used || now.Sub(info.Created) < sweepAge {
				continue
			}
			if removable, err := isRemovable(ctx, s.link, info, now); err != nil {
				return err
			} else if !removable {
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

// pullsKnown is after how long a new leader of a consumer has heard of all who pull from
// it: the pull requests that the one before had are gone, and made again once they end.
const pullsKnown = pullExpires + 10*time.Second

// firstLeader is within how long of its making a consumer has its first leader, which knows
// all who pull.
const firstLeader = 2 * time.Second

// isRemovable reports whether a consumer can be removed, and made again, without harm: no
// node pulls from it, it remembers nothing, and no message is left that was acknowledged
// and is still in its stream, since another consumer would take that for new.
func isRemovable(ctx context.Context, l *link, info *jetstream.ConsumerInfo, now time.Time) (bool, error) {
	if !isIdle(info, now) {
		return false, nil
	}
	left, err := countAtLeader(ctx, l, info.Stream, info.Config.FilterSubject)
	return err == nil && left == int64(info.NumPending), err
}

// isIdle reports whether no node pulls from a consumer, and it remembers nothing.
func isIdle(info *jetstream.ConsumerInfo, now time.Time) bool {
	if c := info.Cluster; c != nil && c.LeaderSince != nil && c.LeaderSince.Sub(info.Created) > firstLeader && now.Sub(*c.LeaderSince) < pullsKnown {
		return false
	}
	return info.NumAckPending == 0 && info.NumRedelivered == 0 && info.NumWaiting == 0
}
