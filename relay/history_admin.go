package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// historyAdmin is a [driver.HistoryAdmin] over the streams of histories.
type historyAdmin struct{ store *historyStore }

// errPageFull ends the reading of a page.
var errPageFull = errors.New("the page is full")

// ReadHistory reads a page. See [driver.HistoryAdmin].
func (a historyAdmin) ReadHistory(ctx context.Context, p driver.HistoryPage, deliver func(*driver.Message) (more bool)) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	pattern, err := destination.ParsePattern(p.Key)
	if err != nil {
		return err
	}
	h, err := a.store.streams.named(p.History)
	if err != nil {
		return err
	}
	stream, info, err := a.store.streams.info(ctx, h)
	if err != nil {
		return err
	}
	r := &historyReplay{drops: drops{streams: a.store.streams, history: h, stream: stream}, pattern: pattern}
	r.begin(info.State)
	_, r.epoch = a.store.streams.epochOf(stream)
	r.deliver = func(m *driver.Message) error {
		if !deliver(m) {
			return errPageFull
		}
		return nil
	}
	from := uint64(1)
	subject := Subject(h.prefix, p.Key)
	switch {
	case p.After != (driver.StreamPosition{}) && (p.After.Epoch != r.epoch || p.After.Seq > info.State.LastSeq):
		return fmt.Errorf("%w: %.40q", driver.ErrBadCursor, p.After.String())
	case p.After.Seq > 0:
		from = p.After.Seq + 1
	case !p.Since.IsZero():
		since := p.Since
		first, _, err := readPage(ctx, a.store.link, stream, pageRequest{Since: &since, Subject: subject, Batch: 1})
		if err != nil {
			return err
		}
		if len(first) == 0 {
			return nil
		}
		from = first[0].seq
	}
	if err := r.all(ctx, []string{subject}, from, info.State.LastSeq); err != nil && !errors.Is(err, errPageFull) {
		return err
	}
	return nil
}

// HistoryUsage counts what is kept. See [driver.HistoryAdmin].
func (a historyAdmin) HistoryUsage(ctx context.Context, name string) (u driver.HistoryUsage, err error) {
	h, err := a.store.streams.named(name)
	if err != nil {
		return u, err
	}
	state, err := a.store.stateOf(ctx, h)
	if err != nil {
		return u, err
	}
	u = driver.HistoryUsage{Destinations: state.NumSubjects, Messages: state.Msgs, Bytes: state.Bytes}
	if u.Messages > 0 {
		u.Oldest = state.FirstTime
	}
	return u, nil
}

// metadataCleared is where a stream says up to where destinations were cleared.
const metadataCleared = "stompbox-cleared"

// maxCleared bounds the destinations that are remembered as cleared. Beyond, all of the
// history counts as cleared up to the last of them.
const maxCleared = 200

// cleared are the sequences up to which destinations were cleared, by routing key. "" is
// all of the history.
type cleared map[string]uint64

// clearedLately is for how long pages may still have what was cleared: those that are shared and
// were read before, and those of a replica that lags.
const clearedLately = 10 * time.Second

// clearedOf is what a stream says of it.
type clearedOf struct {
	stream  string
	text    string
	upTo    cleared
	changed time.Time // when this node learned it, where that was not the first it knew of the stream
}

// learnCleared notes what a stream says of it.
func (h *history) learnCleared(config *jetstream.StreamConfig) {
	c := &clearedOf{stream: config.Name, text: config.Metadata[metadataCleared]}
	if now := h.clearedOf.Load(); now != nil && now.stream == c.stream {
		if now.text == c.text {
			return
		}
		c.changed = time.Now()
	}
	if c.text != "" && json.Unmarshal([]byte(c.text), &c.upTo) != nil {
		return
	}
	h.clearedOf.Store(c)
}

// clearedIn returns what was cleared of a stream. The sequences mean nothing in another one.
func (h *history) clearedIn(stream string) cleared {
	if c := h.clearedOf.Load(); c != nil && c.stream == stream {
		return c.upTo
	}
	return nil
}

// since reports whether something after a sequence was cleared that a pattern matches.
func (c cleared) since(pattern destination.Pattern, seq uint64) bool {
	for key, upTo := range c {
		if upTo > seq && (key == "" || pattern.Match(key)) {
			return true
		}
	}
	return false
}

// isCleared reports whether a message that was read of a stream had just been cleared.
func (h *history) isCleared(stream, key string, seq uint64) bool {
	c := h.clearedOf.Load()
	return c != nil && c.stream == stream && seq <= c.upTo[key] && time.Since(c.changed) < clearedLately
}

// ClearHistory removes what is kept of a destination. Who comes back with an older position
// reads that something is missing. See [driver.HistoryAdmin].
func (a historyAdmin) ClearHistory(ctx context.Context, name, key string) (n uint64, err error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	h, err := a.store.streams.named(name)
	if err != nil {
		return 0, err
	}
	if err := a.store.link.checkWrite(); err != nil {
		return 0, err
	}
	streamName, info, err := a.store.streams.info(ctx, h)
	if err != nil {
		return 0, err
	}
	subject := Subject(h.prefix, key)
	kept, err := countAtLeader(ctx, a.store.link, streamName, subject)
	if err != nil || kept == 0 {
		return 0, err
	}
	s, err := a.store.link.js.Stream(ctx, streamName)
	if err != nil {
		return 0, storeError("cannot clear the history of "+key, err)
	}
	last, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err == nil {
		err = a.noteCleared(ctx, h, info, key, last.Sequence)
	}
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(last.Sequence+1))
	}
	if err != nil {
		return 0, storeError("cannot clear the history of "+key, err)
	}
	return uint64(kept), nil
}

// noteCleared has the stream say that a destination is cleared, before it is.
func (a historyAdmin) noteCleared(ctx context.Context, h *history, info *jetstream.StreamInfo, key string, last uint64) error {
	now := cleared{key: last}
	for key, upTo := range h.clearedIn(info.Config.Name) {
		if upTo >= info.State.FirstSeq { // before, the beginning of the stream says it
			now[key] = max(now[key], upTo)
		}
	}
	if len(now) > maxCleared {
		now = cleared{"": info.State.LastSeq, key: last}
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	config := a.store.streams.config(h, info.Config.Name)
	if config.Metadata == nil {
		config.Metadata = make(map[string]string)
	}
	config.Metadata[metadataCleared] = string(text)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	updated, err := a.store.link.js.UpdateStream(ctx, config)
	if err != nil {
		return storeError("cannot clear the history "+h.policy.Name, err)
	}
	h.learnCleared(&updated.CachedInfo().Config)
	return nil
}
