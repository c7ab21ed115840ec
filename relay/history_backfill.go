package relay

import (
	"context"
	"errors"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// backfillTimeout is how long a history may take to answer: a node that was cut off
	// has its links back some seconds before it knows who leads.
	backfillTimeout = 10 * time.Second
	backfillRetry   = 250 * time.Millisecond
)

// backfill delivers the messages of one destination in (last, before] that did not
// arrive, and notes it on next where the history does not give them. The caller holds
// the lock of the interest, so that what comes after them waits.
func (s *historyStore) backfill(i *interest, next *driver.Message, last, before uint64) {
	ctx, cancel := context.WithTimeout(s.link.ctx, backfillTimeout)
	defer cancel()
	h, stream := s.streams.ofEpoch(next.Position.Epoch)
	if h == nil {
		return
	}
	cursor := &historyCursor{link: s.link, stream: stream, subject: Subject(h.prefix, next.Key), next: last + 1, upTo: before}
	reached, n := last, 0
	deliver := func(stored *storedMessage) error {
		if m, _, ok := s.streams.decodeStored(stored.msg); ok {
			m.Gap = n == 0 && s.streams.trimmedSince(ctx, h, stream, m, last)
			i.deliverLocked(m)
			reached = m.Position.Seq
			n++
		}
		return nil
	}
	err := merge(ctx, []*historyCursor{cursor}, deliver)
	for errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil {
		time.Sleep(backfillRetry)
		err = merge(ctx, []*historyCursor{cursor}, deliver)
	}
	s.filled.Add(int64(n))
	if err != nil || reached < before {
		next.Gap = true
	}
	s.link.log.Info("messages that did not arrive were fetched from the history", "destination", next.Key, "messages", n, "complete", !next.Gap, "error", err)
}
