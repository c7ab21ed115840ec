package relay

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// Replay delivers the past. See [driver.HistoryStore].
func (r *Relay) Replay(ctx context.Context, q driver.ReplayRequest, deliver func(*driver.Message) error) (driver.ReplayResult, error) {
	if err := checkKey(q.Pattern.String()); err != nil {
		return driver.ReplayResult{}, err
	}
	h, err := r.historyNamed(q.History)
	if err != nil {
		return driver.ReplayResult{}, err
	}
	stream, info, err := r.lookAt(ctx, h)
	if err != nil {
		return driver.ReplayResult{}, err
	}
	state := info.State
	p := &pass{relay: r, history: h, stream: stream, pattern: q.Pattern, after: q.After, deliver: deliver}
	_, p.epoch = r.epochOf(stream)
	from, gap := firstWanted(q.After, p.epoch, state)
	p.gap = gap
	subjects := PatternSubjects(h.prefix, q.Pattern.String())
	switch {
	case q.After == (driver.StreamPosition{}) && q.Last == 0: // only where it is now
	case q.After == (driver.StreamPosition{}):
		err = p.last(ctx, subjects, state.LastSeq, q.Last)
	default:
		err = p.all(ctx, subjects, from, state.LastSeq)
	}
	if err != nil {
		return driver.ReplayResult{}, err
	}
	r.rebase(q.Pattern, p.epoch, state.LastSeq)
	return driver.ReplayResult{UpTo: driver.StreamPosition{Epoch: p.epoch, Seq: state.LastSeq}, Incomplete: p.gap}, nil
}

// lookAt asks the leader about a history's stream: how far it goes, and who leads.
func (r *Relay) lookAt(ctx context.Context, h *history) (string, *jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	name, err := r.streamOf(ctx, h)
	if err != nil {
		return "", nil, err
	}
	s, err := r.js.Stream(ctx, name)
	if err != nil {
		h.forget() // it may have been made anew
		return "", nil, storeError("cannot look at "+name, err)
	}
	return name, s.CachedInfo(), nil
}

// firstWanted returns the sequence after a position, and whether something in
// between is gone.
func firstWanted(after driver.StreamPosition, epoch string, state jetstream.StreamState) (from uint64, gap bool) {
	switch {
	case after == (driver.StreamPosition{}):
		return 1, false
	case after.Epoch != epoch:
		return 1, true // of a stream that is no more
	case after.Seq > state.LastSeq:
		return state.LastSeq + 1, true // what the client knows was lost
	}
	from = after.Seq + 1
	return from, state.FirstSeq > from
}

// pass is one reading of a history.
type pass struct {
	relay   *Relay
	history *history
	stream  string
	epoch   string
	pattern destination.Pattern
	after   driver.StreamPosition
	deliver func(*driver.Message) error
	gap     bool // something before the next message is gone
	met     map[string]bool
}

// all delivers what matches in (from, upTo), merged from its subjects.
func (p *pass) all(ctx context.Context, subjects []string, from, upTo uint64) error {
	sources := make([]*past, len(subjects))
	for i, subject := range subjects {
		sources[i] = &past{relay: p.relay, stream: p.stream, subject: subject, next: max(from, 1), upTo: upTo}
	}
	return merge(ctx, sources, func(one *pastMessage) error {
		m, _, ok := p.relay.decodeStored(one.msg)
		if !ok || !p.pattern.Match(m.Key) {
			return nil
		}
		if err := p.checkTrimmed(ctx, m); err != nil {
			return err
		}
		m.Gap = p.gap
		p.gap = false
		return p.deliver(m)
	})
}

// last delivers the newest messages that match.
func (p *pass) last(ctx context.Context, subjects []string, upTo uint64, count int) error {
	var found []*driver.Message
	for _, subject := range subjects {
		from, err := p.relay.seekLast(ctx, p.stream, subject, upTo, count)
		if err != nil {
			return err
		}
		one := pass{relay: p.relay, stream: p.stream, epoch: p.epoch, pattern: p.pattern, history: p.history}
		one.deliver = func(m *driver.Message) error { found = append(found, m); return nil }
		if err := one.all(ctx, []string{subject}, from, upTo); err != nil {
			return err
		}
	}
	slices.SortFunc(found, func(a, b *driver.Message) int { return cmp.Compare(a.Position.Seq, b.Position.Seq) })
	for _, m := range found[max(len(found)-count, 0):] {
		if err := p.deliver(m); err != nil {
			return err
		}
	}
	return nil
}

// checkTrimmed finds, at the first message of each destination, whether ones
// before it were dropped for max_messages since the position that is known: then
// all that is kept is newer, and as much as may be.
func (p *pass) checkTrimmed(ctx context.Context, m *driver.Message) error {
	most := p.history.policy.MaxMessages
	if most <= 0 || p.after.Epoch != p.epoch || p.met[m.Key] {
		return nil
	}
	if p.met == nil {
		p.met = make(map[string]bool)
	}
	p.met[m.Key] = true
	first, kept, err := p.relay.readPage(ctx, p.stream, pageRequest{Seq: 1, Subject: Subject(p.history.prefix, m.Key), Batch: 1})
	if err != nil {
		return err
	}
	if len(first) > 0 && first[0].seq > p.after.Seq && int64(kept) >= most {
		p.gap = true
	}
	return nil
}

// merge calls visit with the messages of all sources in the order of the stream.
func merge(ctx context.Context, sources []*past, visit func(*pastMessage) error) error {
	for {
		var first *past
		var message *pastMessage
		for _, s := range sources {
			m, err := s.peek(ctx)
			if err != nil {
				return err
			}
			if m != nil && (message == nil || m.seq < message.seq) {
				first, message = s, m
			}
		}
		if first == nil {
			return nil
		}
		first.take()
		if err := visit(message); err != nil {
			return err
		}
	}
}

// liveSubject is the subject on which a stored message is published again.
func (r *Relay) liveSubject(h *history, subject string) string {
	return r.prefix + strings.TrimPrefix(subject, h.prefix)
}
