package relay

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// drops notes with each page of a reading what its stream has dropped, since that may concern
// what was still to be read.
type drops struct {
	streams *historyStreams
	history *history
	stream  string

	first   uint64 // where the stream begins
	dropped uint64 // how many messages the stream had dropped
	known   bool   // one look was taken
}

// look reports whether the stream has dropped more since the last look.
func (d *drops) look(ctx context.Context, page []*storedMessage) (more bool, err error) {
	info, err := d.streams.infoAt(ctx, d.history, d.stream, page)
	if err != nil {
		return false, err
	}
	more = d.known && droppedOf(info.State) != d.dropped
	d.note(info.State)
	return more, nil
}

// note takes what was just said of the stream for a look.
func (d *drops) note(state jetstream.StreamState) {
	d.first, d.dropped, d.known = state.FirstSeq, droppedOf(state), true
}

// trimDetector finds out what of the messages that an interest missed is gone from the
// history, for one reading of it.
type trimDetector struct {
	drops
	sure    uint64 // all up to it arrived
	unknown bool   // nothing is known of what arrived
	checked map[checkedDestination]struct{}
}

type checkedDestination struct {
	interest *interest
	key      string
}

// turned has what was found out forgotten where the stream has dropped more since the last page.
func (t *trimDetector) turned(ctx context.Context, _ uint64, page []*storedMessage) error {
	more, err := t.look(ctx, page)
	if more {
		clear(t.checked)
	}
	return err
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
	if m.Position.Seq == last+1 {
		return false
	}
	if !t.known { // what cannot be found out is taken for a gap
		if _, err := t.look(ctx, []*storedMessage{{seq: m.Position.Seq}}); err != nil {
			return true
		}
	}
	return t.first > last+1 || t.streams.trimmedSince(ctx, t.history, t.stream, m, last)
}

// trimmedSince reports whether messages between last and m may have been dropped.
func (s *historyStreams) trimmedSince(ctx context.Context, h *history, stream string, m *driver.Message, last uint64) bool {
	trimmed, err := s.trimmedAfter(ctx, h, stream, m, last)
	return trimmed || err != nil
}

// trimmedAfter is trimmedSince with an error where that cannot be found out.
func (s *historyStreams) trimmedAfter(ctx context.Context, h *history, stream string, m *driver.Message, last uint64) (bool, error) {
	r := &historyReplay{drops: drops{streams: s, history: h, stream: stream}, epoch: m.Position.Epoch, after: driver.StreamPosition{Epoch: m.Position.Epoch, Seq: last}}
	err := r.checkTrimmed(ctx, m)
	return r.gap, err
}
