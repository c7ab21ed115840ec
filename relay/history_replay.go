package relay

import (
	"context"
	"fmt"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// historyReplay is one reading of a history.
type historyReplay struct {
	streams *historyStreams
	history *history
	stream  string
	epoch   string
	pattern destination.Pattern
	after   driver.StreamPosition
	deliver func(*driver.Message) error
	gap     bool            // something before the next message is gone
	checked map[string]bool // destinations whose first message was met
}

// all delivers what matches in (from, upTo), merged from the subjects.
func (r *historyReplay) all(ctx context.Context, subjects []string, from, upTo uint64) error {
	cursors := make([]*historyCursor, len(subjects))
	for i, subject := range subjects {
		cursors[i] = &historyCursor{link: r.streams.link, stream: r.stream, subject: subject, next: max(from, 1), upTo: upTo}
	}
	exact, pages := !destination.HasWildcard(r.pattern.String()), 1
	return merge(ctx, cursors, func(stored *storedMessage) error {
		m, _, ok := r.streams.decodeStored(stored.msg)
		if isNewer(stored.msg.Header) {
			return fmt.Errorf("%w: the history %s has messages that cannot be read: %w", driver.ErrUnavailable, r.history.policy.Name, errNewer)
		}
		if !ok || !r.pattern.Match(m.Key) {
			return nil
		}
		if exact && cursors[0].pages > pages { // more may have been dropped while the last page was delivered
			pages, r.checked = cursors[0].pages, nil
		}
		if err := r.checkTrimmed(ctx, m); err != nil {
			return err
		}
		m.Gap = r.gap
		r.gap = false
		err := r.deliver(m)
		if exact && r.after.Epoch == r.epoch {
			r.after.Seq = m.Position.Seq
		}
		return err
	})
}

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
	if pattern, err := destination.ParsePattern(m.Key); err == nil && r.history.clearedSince(pattern, r.after.Seq) {
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
	if has, err := readFromLeader(ctx, r.streams.link, r.stream, pageRequest{Seq: m.Position.Seq, Subject: subject}); err != nil {
		return err
	} else if has == nil {
		return fmt.Errorf("%w: a server does not have yet what is in %s", driver.ErrUnavailable, r.stream)
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
