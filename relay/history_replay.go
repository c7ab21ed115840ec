package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// historyReplay is one reading of a history.
type historyReplay struct {
	drops
	epoch   string
	pattern destination.Pattern
	after   driver.StreamPosition
	deliver func(*driver.Message) error
	from    uint64          // where the reading begins
	gap     bool            // something before the next message is gone
	checked map[string]bool // destinations whose first message was met
	// What was dropped is looked for again with each page.
	cleared  *clearedOf // what operators had cleared at the last look
	trimming bool       // some were dropped since the replay began
}

// begin notes what a stream has dropped as the replay of it begins.
func (r *historyReplay) begin(state jetstream.StreamState) {
	r.note(state)
	r.cleared = r.history.clearedOf.Load()
}

// all delivers what matches in (from, upTo), merged from the subjects.
func (r *historyReplay) all(ctx context.Context, subjects []string, from, upTo uint64) error {
	r.from = max(from, 1)
	cursors := make([]*historyCursor, len(subjects))
	for i, subject := range subjects {
		cursors[i] = &historyCursor{
			link: r.streams.link, stream: r.stream, subject: subject, next: r.from, upTo: upTo, turned: r.turned,
			fetch: r.fetch,
		}
	}
	err := merge(ctx, cursors, func(stored *storedMessage) error {
		m, _, ok := r.streams.decodeStored(stored.msg)
		if isNewer(stored.msg.Header) {
			return fmt.Errorf("%w: the history %s has messages that cannot be read: %w", driver.ErrUnavailable, r.history.policy.Name, errNewer)
		}
		if !ok || !r.pattern.Match(m.Key) || r.history.isCleared(r.stream, m.Key, stored.seq) {
			return nil
		}
		if err := r.checkTrimmed(ctx, m); err != nil {
			return err
		}
		m.Gap = r.gap
		r.gap = false
		return r.deliver(m)
	})
	if err != nil || !r.trimming || r.gap {
		return err
	}
	r.gap, err = r.replacedAll(ctx, subjects, upTo)
	return err
}

// fetch reads a page, or shares what another replay read, where the stream has dropped nothing since.
func (r *historyReplay) fetch(ctx context.Context, q pageRequest) ([]*storedMessage, error) {
	key := pageKey{stream: r.stream, epoch: r.epoch, dropped: r.dropped, subject: q.Subject, next: q.Seq, size: q.MaxBytes}
	return r.streams.shared.get(ctx, key, func(ctx context.Context) ([]*storedMessage, error) {
		page, _, err := readPage(ctx, r.streams.link, r.stream, q)
		return page, err
	})
}

// turned looks what was dropped while a page was asked for, or the one before was delivered. The
// page begins at next or later, and what is below next was delivered. Where nothing is known of
// what the client has, or a gap is known, no first page says more.
func (r *historyReplay) turned(ctx context.Context, next uint64, page []*storedMessage) error {
	if next == r.from && (r.after.Epoch != r.epoch || r.gap) {
		return nil
	}
	more, err := r.look(ctx, page)
	if err != nil || !more {
		return err
	}
	r.checked, r.trimming = nil, true
	if r.after.Epoch != r.epoch || r.after.Seq < next-1 {
		r.after = driver.StreamPosition{Epoch: r.epoch, Seq: next - 1}
	}
	r.gap = r.gap || r.first > next && (len(page) == 0 || page[0].seq > next)
	if cleared := r.history.clearedOf.Load(); cleared != r.cleared {
		r.cleared, r.gap = cleared, r.gap || r.history.clearedIn(r.stream).since(r.pattern, r.after.Seq)
	}
	return nil
}

// maxReplaced is how many pages are read to find what replaced all that a destination had.
// Where there are more, messages count as missing.
const maxReplaced = 16

// replacedAll reports whether so much came to a destination after upTo that nothing may be
// left of what it had before.
func (r *historyReplay) replacedAll(ctx context.Context, subjects []string, upTo uint64) (bool, error) {
	limit := r.history.policy.MaxMessages
	_, info, err := r.streams.info(ctx, r.history)
	if err != nil || limit <= 0 || info.State.LastSeq < upTo+uint64(limit) {
		return false, err
	}
	counts, replaced := make(map[string]int64), errors.New("all of a destination was replaced")
	for _, subject := range subjects {
		c := &historyCursor{link: r.streams.link, stream: r.stream, subject: subject, next: upTo + 1, upTo: info.State.LastSeq}
		err = merge(ctx, []*historyCursor{c}, func(stored *storedMessage) error {
			m, _, ok := r.streams.decodeStored(stored.msg)
			if !ok || !r.pattern.Match(m.Key) {
				return nil
			}
			if counts[m.Key]++; counts[m.Key] >= limit || c.pages > maxReplaced {
				return replaced
			}
			return nil
		})
		if err != nil {
			break
		}
	}
	if errors.Is(err, replaced) {
		return true, nil
	}
	return false, err
}

// droppedOf returns how many messages a stream has had that it has no more.
func droppedOf(state jetstream.StreamState) uint64 { return state.LastSeq - state.Msgs }

// last delivers the newest messages that match, a page at a time.
func (r *historyReplay) last(ctx context.Context, subjects []string, upTo uint64, count int) error {
	var cursors []*historyCursor
	for _, subject := range subjects {
		from, err := seekLast(ctx, r.streams.link, r.stream, subject, upTo, count)
		if err != nil {
			return err
		}
		cursors = append(cursors, &historyCursor{link: r.streams.link, stream: r.stream, subject: subject, next: from, upTo: upTo})
	}
	from := cursors[0].next
	if destination.HasWildcard(r.pattern.String()) {
		var err error
		if from, err = r.seekMatching(ctx, cursors, upTo, count); err != nil {
			return err
		}
	}
	return r.all(ctx, subjects, from, upTo)
}

// seekMatching returns the sequence of the last message but count that matches: NATS's
// patterns are wider. It keeps no more than the sequences of what it reads.
func (r *historyReplay) seekMatching(ctx context.Context, cursors []*historyCursor, upTo uint64, count int) (uint64, error) {
	newest, found := make([]uint64, count), 0
	err := merge(ctx, cursors, func(stored *storedMessage) error {
		if m, _, ok := r.streams.decodeStored(stored.msg); ok && r.pattern.Match(m.Key) {
			newest[found%count] = stored.seq
			found++
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case found == 0:
		return upTo + 1, nil
	case found < count:
		return newest[0], nil
	}
	return newest[found%count], nil
}

// maxChecked is of how many destinations a replay remembers that it has looked for what
// was dropped before. Beyond, it looks again.
const maxChecked = 10_000

// checkTrimmed finds, at the first message of each destination, whether ones
// before it were cleared, or dropped for max_messages, since the position that is known:
// then all that is kept is newer, and as much as may be.
func (r *historyReplay) checkTrimmed(ctx context.Context, m *driver.Message) error {
	if r.after.Epoch != r.epoch || r.checked[m.Key] {
		return nil
	}
	if r.checked == nil || len(r.checked) >= maxChecked {
		r.checked = make(map[string]bool)
	}
	r.checked[m.Key] = true
	if pattern, err := destination.ParsePattern(m.Key); err == nil && r.history.clearedIn(r.stream).since(pattern, r.after.Seq) {
		r.gap = true
		return nil
	}
	limit := r.history.policy.MaxMessages
	if limit <= 0 {
		return nil
	}
	// A replica that catches up may still have what is gone, so the leader is asked.
	subject := Subject(r.history.prefix, m.Key)
	// One that was cut off leads until it notices the next one, and has what is gone. Who has
	// the message is no such one, and nor is who answers after it.
	if err := r.checkLeader(ctx, m.Position.Seq, subject); err != nil {
		return err
	}
	first, err := readFromLeader(ctx, r.streams.link, r.stream, pageRequest{Seq: 1, Subject: subject})
	if err != nil || first == nil || first.seq <= r.after.Seq {
		return err
	}
	kept, err := countAtLeader(ctx, r.streams.link, r.stream, subject)
	if err != nil {
		return err
	}
	r.gap = r.gap || kept >= limit
	return nil
}

// checkLeader returns an error where who answers for the stream has nothing from a message on
// that was read.
func (r *historyReplay) checkLeader(ctx context.Context, seq uint64, subject string) error {
	has, err := readFromLeader(ctx, r.streams.link, r.stream, pageRequest{Seq: seq, Subject: subject})
	if err == nil && has == nil {
		err = errLags(r.stream)
	}
	return err
}
