package relay

import (
	"context"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// backfillRetry is after how long a history is asked again that did not answer: a node
	// that was cut off has its links back some seconds before it knows who leads.
	backfillRetry = 250 * time.Millisecond
	// maxBackfills is how many interests fetch at a time.
	maxBackfills = 64
	// maxSeen is of how many destinations a backfill remembers what it delivered.
	maxSeen = 100_000
	// maxAhead is how often a stream is asked that ends before a message that says it is
	// of it: a server that was paused takes itself for the leader for a moment.
	maxAhead = 8
)

// backfill has what an interest misses of a stream fetched in the background, in order
// and before what it holds, until that is there or known to be gone. It reports false
// where there is no such stream. The caller holds the lock of the interest.
func (s *historyStore) backfill(i *interest, m *driver.Message) bool {
	epoch := m.Position.Epoch
	h := s.streams.ofKey(m.Key)
	if h == nil {
		return false
	}
	stream, ok := h.streamOf(epoch)
	if !ok {
		return false
	}
	f := &backfill{store: s, interest: i, history: h, stream: stream, epoch: epoch, last: make(map[string]uint64), looked: make(map[string]struct{})}
	f.drops = drops{streams: s.streams, history: h, stream: stream}
	f.start = i.progressLocked(epoch).reached()
	s.link.background.Go(f.run)
	return true
}

// backfill fills one interest up.
type backfill struct {
	store    *historyStore
	interest *interest
	history  *history
	stream   string
	epoch    string

	start     uint64            // what was reached before
	last      map[string]uint64 // the last message that was delivered since, by destination
	drops     drops
	looked    map[string]struct{} // destinations before whose messages nothing is gone since the last look
	checked   bool                // whether the stream still begins where this interest is
	fetched   int                 // messages that had not arrived
	gone      int                 // places where some are missing for good
	unread    bool                // a newer build wrote what is before the next message
	ahead     int                 // how often the stream ended before a message that is held
	lastError error
}

func (f *backfill) run() {
	began := time.Now()
	for {
		done, err := f.fill()
		if done {
			break
		}
		if err != nil {
			f.lastError = err
		}
		select {
		case <-f.store.link.ctx.Done():
			return
		case <-f.interest.ended:
			return
		case <-time.After(backfillRetry):
		}
	}
	f.store.filled.Add(int64(f.fetched))
	if f.fetched > 0 || f.gone > 0 || f.lastError != nil {
		f.store.link.log.Info("messages that did not arrive were fetched from the history", "destination", f.interest.pattern.String(), "messages", f.fetched, "complete", f.gone == 0, "took", time.Since(began).Round(time.Millisecond), "error", f.lastError)
	}
}

// fill fetches until nothing is held any more, and reports whether that is so.
func (f *backfill) fill() (done bool, err error) {
	select {
	case f.store.backfills <- struct{}{}:
		defer func() { <-f.store.backfills }()
	case <-f.store.link.ctx.Done():
		return false, nil
	}
	for {
		from, target := f.span()
		if _, ok := f.history.streamOf(f.epoch); !ok {
			f.settle(target, true) // the stream is gone, and what it had
			return true, nil
		}
		if err := f.fetch(from, target, true); err != nil {
			return false, err
		}
		// Who was cut off leads until it notices the next one, and what it does not have must
		// not be taken for gone. So what is left is read after the leader has said how far the
		// stream goes.
		_, info, err := f.store.streams.info(f.store.link.ctx, f.history)
		if err != nil {
			return false, err
		}
		if info.State.LastSeq < target && info.Config.Name == f.stream {
			if f.ahead++; f.ahead < maxAhead {
				return false, nil
			}
			f.reject(info.State.LastSeq)
			return true, nil
		}
		if from, _ = f.span(); from <= target {
			if err := f.fetch(from, target, false); err != nil {
				return false, err
			}
		}
		if f.settle(target, false) {
			return true, nil
		}
	}
}

func (f *backfill) span() (from, target uint64) {
	f.interest.mu.Lock()
	defer f.interest.mu.Unlock()
	p := f.interest.progressLocked(f.epoch)
	return p.reached() + 1, p.target
}

// fetch delivers what the stream has up to target, which it may not have reached yet where
// that is open.
func (f *backfill) fetch(from, target uint64, open bool) error {
	ctx := f.store.link.ctx
	var cursors []*historyCursor
	for _, subject := range PatternSubjects(f.history.prefix, f.interest.pattern.String()) {
		cursors = append(cursors, &historyCursor{link: f.store.link, stream: f.stream, subject: subject, next: from, upTo: target, open: open, turned: f.turned})
	}
	return merge(ctx, cursors, func(stored *storedMessage) error {
		m, _, ok := f.store.streams.decodeStored(stored.msg)
		if isNewer(stored.msg.Header) {
			f.unread = true
		}
		if !ok || !f.interest.pattern.Match(m.Key) || f.history.isCleared(f.stream, m.Key, stored.seq) {
			return nil
		}
		gap, err := f.trimmedBefore(ctx, m)
		if err != nil {
			return err
		}
		f.interest.mu.Lock()
		defer f.interest.mu.Unlock()
		p := f.interest.progressLocked(f.epoch)
		f.passHeldLocked(p, m.Position.Seq-1)
		if m.Position.Seq <= p.delivered {
			return nil
		}
		if len(p.held) > 0 && p.held[0].message.Position.Seq == m.Position.Seq {
			f.passHeldLocked(p, m.Position.Seq)
			return nil
		}
		f.fetched++
		f.passLocked(p, m, gap)
		return nil
	})
}

// turned looks with each page whether more was dropped since the one before: then what was found
// out about a destination holds no more.
func (f *backfill) turned(ctx context.Context, _ uint64, page []*storedMessage) error {
	more, err := f.drops.look(ctx, page)
	if more {
		clear(f.looked)
		f.checked = false
	}
	return err
}

// trimmedBefore reports whether messages are gone before one that was not held, the first
// of its destination.
func (f *backfill) trimmedBefore(ctx context.Context, m *driver.Message) (bool, error) {
	f.interest.mu.Lock()
	p := f.interest.progressLocked(f.epoch)
	_, known := f.looked[m.Key]
	reached, last := max(f.start, p.delivered), max(f.start, f.last[m.Key])
	for _, held := range p.held {
		known = known || held.message.Position.Seq == m.Position.Seq
	}
	known = known || m.Position.Seq <= p.delivered
	f.interest.mu.Unlock()
	if known || f.start == 0 {
		return false, nil
	}
	if !f.checked {
		f.checked = true
		if f.drops.first > reached+1 {
			return true, nil
		}
	}
	return f.store.streams.trimmedAfter(ctx, f.history, f.stream, m, last)
}

// passHeldLocked delivers what is held up to a sequence.
func (f *backfill) passHeldLocked(p *progress, upTo uint64) {
	for len(p.held) > 0 && p.held[0].message.Position.Seq <= upTo {
		held := p.held[0]
		p.held, p.heldBytes = p.held[1:], p.heldBytes-len(held.message.Body)
		if held.message.Position.Seq > p.delivered {
			f.passLocked(p, held.message, f.start > 0 && held.before > max(f.start, f.last[held.message.Key]))
		}
	}
}

func (f *backfill) passLocked(p *progress, m *driver.Message, gap bool) {
	if gap || f.unread {
		f.unread = false
		f.gone++
		m = m.AfterGap()
	}
	if len(f.last) >= maxSeen {
		clear(f.last)
		clear(f.looked)
		f.start = p.delivered
	}
	f.last[m.Key], f.looked[m.Key] = m.Position.Seq, struct{}{}
	f.interest.deliverLocked(p, m)
}

// settle delivers what is held up to target, which was fetched, and reports whether
// nothing is left. Where the stream is gone, all that is held follows a gap.
func (f *backfill) settle(target uint64, gone bool) bool {
	f.interest.mu.Lock()
	defer f.interest.mu.Unlock()
	p := f.interest.progressLocked(f.epoch)
	if gone && len(p.held) > 0 {
		p.held[0].message = p.held[0].message.AfterGap()
		f.gone++
		target = p.target
	}
	f.passHeldLocked(p, target)
	p.baseline = max(p.baseline, target)
	for len(p.held) > 0 && p.follows(f.interest.wild, p.held[0].message.Position.Seq, p.held[0].before) {
		f.passHeldLocked(p, p.held[0].message.Position.Seq)
	}
	if p.target > p.reached() {
		return false
	}
	f.fetched = max(f.fetched-p.unheld, 0) // those had arrived
	p.filling, p.held, p.heldBytes, p.unheld = false, nil, 0, 0
	return true
}

// reject drops what is held after the end of the stream, where it cannot come from.
func (f *backfill) reject(end uint64) {
	f.interest.mu.Lock()
	defer f.interest.mu.Unlock()
	p := f.interest.progressLocked(f.epoch)
	f.passHeldLocked(p, end)
	f.store.streams.rejected(f.interest.pattern.String(), len(p.held))
	p.filling, p.held, p.heldBytes, p.unheld, p.target = false, nil, 0, 0, 0
}
