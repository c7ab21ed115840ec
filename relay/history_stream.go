package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// HistorySettings say how JetStream keeps histories.
type HistorySettings struct {
	// Policies are the broker's.
	Policies []driver.HistoryPolicy
	// Replicas is on how many servers of a cluster each message is. Default 1.
	Replicas int
	// DurableIdle is the time after which an unused durable subscription is forgotten. Default a
	// week.
	DurableIdle time.Duration
}

// WithDefaults returns h with the defaults in place of zeros.
func (h HistorySettings) WithDefaults() HistorySettings {
	h.Replicas = cmp.Or(h.Replicas, 1)
	h.DurableIdle = cmp.Or(h.DurableIdle, 7*24*time.Hour)
	return h
}

// maxDurables is how many durable subscriptions a history can have.
const maxDurables = 100_000

// history is one policy's stream. What is written to its subjects is stored, and
// JetStream publishes it again on the live subjects with its place in the headers,
// so that every node gets the same messages in the same order.
//
// The stream's name ends in its epoch: when it is lost and made again, positions of
// the old one are not taken for those of the new one, and each message says which
// it is of.
type history struct {
	policy driver.HistoryPolicy
	prefix string // of its subjects, without the kind of destination
	base   string // the stream's name without the epoch
	kind   string // topic or user

	mu       sync.Mutex // held while the stream is looked for; guards the following
	stream   string     // its name, or "" while unknown
	verified bool       // that its limits are the policy's
	// beginning is the epoch that is to begin, until it is known that the stream has it.
	beginning *laterEpoch

	later     atomic.Pointer[laterEpoch] // the epoch, where it is not the stream's first one
	restored  atomic.Pointer[string]     // when the stream was restored from a backup, where it was
	restoring atomic.Bool                // it is being restored, and no other stream is made
	elsewhere atomic.Int64               // until when no stream is made since another node restores it, in nanoseconds since 1970

	clearedOf atomic.Pointer[clearedOf] // what operators cleared

	checks checkpoints // of the watch alone
	infos  *joinedCalls[namedInfo]
}

// namedInfo is what a leader says of a stream.
type namedInfo struct {
	name string
	info *jetstream.StreamInfo
}

// historyStreams know the streams of all policies, and make them where they are missing.
type historyStreams struct {
	link        *link
	settings    HistorySettings
	dedupWindow time.Duration
	all         map[string]*history // by policy; does not change
	confirmed   *confirmedPlaces    // nil where the server is external
	elections   *elections
	copies      *copies
	misplaced   atomic.Int64 // live messages that named a history and were not of its stream
	shared      *sharedPages
}

func newHistoryStreams(l *link, settings HistorySettings, dedupWindow time.Duration) *historyStreams {
	all := make(map[string]*history, len(settings.Policies))
	for _, p := range settings.Policies {
		all[p.Name] = &history{
			policy: p, prefix: l.prefix + ".history." + p.Name,
			base: streamBase(l.prefix) + "_history_" + p.Name, kind: strings.Split(p.Match.String(), "/")[1], infos: newJoinedCalls[namedInfo](),
		}
	}
	s := &historyStreams{link: l, settings: settings, dedupWindow: dedupWindow, all: all, shared: newSharedPages()}
	if l.server != nil {
		s.confirmed = &confirmedPlaces{dir: l.server.data.file("confirmed"), files: make(map[string]*confirmedPlace)}
	}
	return s
}

// epochOf returns which of the histories a stream's name is of, and its epoch.
func (s *historyStreams) epochOf(stream string) (*history, string) {
	at := strings.LastIndexByte(stream, '_')
	if at < 0 {
		return nil, ""
	}
	name := stream[:at]
	name = name[strings.LastIndexByte(name, '_')+1:]
	if h := s.all[name]; h != nil && h.base == stream[:at] {
		return h, h.epochIn(stream)
	}
	return nil, ""
}

// named returns the history of a policy.
func (s *historyStreams) named(name string) (*history, error) {
	if h := s.all[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("relay: there is no history %q", name)
}

// place says where a message of a history is to be written.
func (s *historyStreams) place(ctx context.Context, name, key string) (place, error) {
	h, err := s.named(name)
	if err != nil {
		return place{}, err
	}
	stream, err := s.nameOf(ctx, h)
	return place{stream, Subject(h.prefix, key), h.prefix}, err
}

// nameOf returns the name of a history's stream, and makes the stream where
// there is none. It talks to the server when the stream is not known.
func (s *historyStreams) nameOf(ctx context.Context, h *history) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != "" {
		return h.stream, nil
	}
	if err := s.link.checkAsk(); err != nil {
		return "", err
	}
	if h.restoring.Load() {
		return "", fmt.Errorf("%w: the history %s is being restored", driver.ErrUnavailable, h.policy.Name)
	}
	name, err := s.link.js.StreamNameBySubject(ctx, h.prefix+".>")
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && time.Now().UnixNano() < h.elsewhere.Load():
		return "", fmt.Errorf("%w: another node restores the history %s", driver.ErrUnavailable, h.policy.Name)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		var made bool
		if name, made, err = s.makeStream(ctx, h); err != nil {
			return "", err
		}
		h.verified = h.verified || made
	case err != nil:
		return "", storeError("cannot find the history "+h.policy.Name, err)
	}
	if !h.verified {
		if err := s.verify(ctx, h, name); err != nil {
			return "", err
		}
	}
	if _, epoch := s.epochOf(name); epoch == "" {
		return "", fmt.Errorf("relay: the stream %s has the subjects of the history %s, and is not its own", name, h.policy.Name)
	}
	if err := s.confirmed.begin(h.policy.Name, name, 0); err != nil {
		return "", err
	}
	h.stream, h.verified = name, true
	return name, nil
}

// awaitLeader returns when a stream that another node has just made can be used.
func (s *historyStreams) awaitLeader(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	for {
		made, err := s.link.js.Stream(ctx, name)
		if err == nil {
			s.elections.know(name, made.CachedInfo())
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("relay: the new stream %s cannot be used yet: %w (%w)", name, driver.ErrUnavailable, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *historyStreams) config(h *history, name string) jetstream.StreamConfig {
	return s.configIn(h, name, h.later.Load())
}

// configIn is config for a stream whose messages are of a later epoch than its first one, where
// that is not nil.
func (s *historyStreams) configIn(h *history, name string, later *laterEpoch) jetstream.StreamConfig {
	limit := func(n int64) int64 {
		if n <= 0 {
			return -1
		}
		return n
	}
	metadata := make(map[string]string)
	if later != nil && later.stream == name {
		metadata[metadataEpoch] = later.epoch
	}
	if c := h.clearedOf.Load(); c != nil && c.stream == name && c.text != "" {
		metadata[metadataCleared] = c.text
	}
	if restored := h.restored.Load(); restored != nil {
		metadata = keepRestored(metadata, map[string]string{metadataRestored: *restored})
	}
	return jetstream.StreamConfig{
		Metadata: withFormat(metadata),
		Name:     name, Description: "stompbox: history " + h.policy.Name + ", " + h.policy.Match.String(),
		Subjects: []string{h.prefix + ".>"}, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		Storage: jetstream.FileStorage, Replicas: s.settings.Replicas, Duplicates: s.window(h),
		MaxMsgsPerSubject: limit(h.policy.MaxMessages), MaxAge: h.policy.MaxAge, MaxBytes: limit(h.policy.MaxBytes), MaxMsgs: -1,
		MaxConsumers: maxDurables, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true,
		RePublish: &jetstream.RePublish{Source: h.prefix + "." + h.kind + ".>", Destination: s.link.prefix + "." + h.kind + ".>"},
	}
}

// window is the dedup window: that of the queues, or less where messages are not kept as long.
func (s *historyStreams) window(h *history) time.Duration {
	if h.policy.MaxAge > 0 {
		return min(s.dedupWindow, h.policy.MaxAge)
	}
	return s.dedupWindow
}

// forget has the stream looked for again.
func (h *history) forget() {
	h.mu.Lock()
	h.stream = ""
	h.mu.Unlock()
}

// reset is forget for a stream that another one took the place of.
func (h *history) reset() {
	h.mu.Lock()
	h.stream, h.verified = "", false
	h.mu.Unlock()
}

// forget has all streams looked for again.
func (s *historyStreams) forget() {
	for _, h := range s.all {
		h.forget()
	}
}

// info asks the leader about a history's stream: how far it goes, and who leads. A majority has
// heard that leader lately.
func (s *historyStreams) info(ctx context.Context, h *history) (string, *jetstream.StreamInfo, error) {
	i, err := h.infos.do(ctx, func(ctx context.Context) (namedInfo, error) { return s.askInfo(ctx, h) })
	return i.name, i.info, err
}

func (s *historyStreams) askInfo(ctx context.Context, h *history) (namedInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	name, err := s.nameOf(ctx, h)
	if err != nil {
		return namedInfo{}, err
	}
	info, err := s.link.lookAt(ctx, name)
	if err != nil {
		h.forget() // it may have been made again
		return namedInfo{}, storeError("cannot look at "+name, err)
	}
	h.learnEpoch(&info.Config) // another node may have begun one
	return namedInfo{name, info}, nil
}

// infoAt is what a leader says of a stream that has all that was read of it: one that was cut off
// leads until it notices the next one, and has what is gone.
func (s *historyStreams) infoAt(ctx context.Context, h *history, stream string, page []*storedMessage) (*jetstream.StreamInfo, error) {
	_, info, err := s.info(ctx, h)
	if err == nil && len(page) > 0 && info.State.LastSeq < page[len(page)-1].seq {
		err = errLags(stream)
	}
	return info, err
}
