package relay

import (
	"context"

	"github.com/stompbox/stompbox/broker/driver"
)

// trimDetector finds out what of the messages that an interest missed is gone from the
// history, for one reading of it.
type trimDetector struct {
	streams *historyStreams
	history *history
	stream  string
	sure    uint64 // all up to it arrived
	first   uint64 // where the stream began
	unknown bool   // nothing is known of what arrived
	checked map[checkedDestination]struct{}
}

type checkedDestination struct {
	interest *interest
	key      string
}

// before reports, at the first message of a destination that an interest missed,
// whether ones before it and after last are gone.
func (t *trimDetector) before(ctx context.Context, i *interest, m *driver.Message, last uint64) bool {
	at := checkedDestination{i, m.Key}
	if _, checked := t.checked[at]; checked || t.unknown || len(t.checked) >= maxSeen {
		return false
	}
	if t.checked == nil {
		t.checked = make(map[checkedDestination]struct{})
	}
	t.checked[at] = struct{}{}
	last = max(last, t.sure)
	return t.first > last+1 || t.streams.trimmedSince(ctx, t.history, t.stream, m, last)
}

// trimmedSince reports whether messages between last and m may have been dropped.
func (s *historyStreams) trimmedSince(ctx context.Context, h *history, stream string, m *driver.Message, last uint64) bool {
	trimmed, err := s.trimmedAfter(ctx, h, stream, m, last)
	return trimmed || err != nil
}

// trimmedAfter is trimmedSince with an error where that cannot be found out.
func (s *historyStreams) trimmedAfter(ctx context.Context, h *history, stream string, m *driver.Message, last uint64) (bool, error) {
	r := &historyReplay{streams: s, history: h, stream: stream, epoch: m.Position.Epoch, after: driver.StreamPosition{Epoch: m.Position.Epoch, Seq: last}}
	err := r.checkTrimmed(ctx, m)
	return r.gap, err
}
