package relay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// HistorySettings are how JetStream keeps what histories have.
type HistorySettings struct {
	// Policies are the broker's.
	Policies []driver.HistoryPolicy
	// Replicas is on how many servers of a cluster each message is. Default 1.
	Replicas int
	// DurableIdle is after how long a durable subscription that nobody uses is
	// forgotten. Default a week.
	DurableIdle time.Duration
}

func (h *HistorySettings) setDefaults() {
	if h.Replicas == 0 {
		h.Replicas = 1
	}
	if h.DurableIdle == 0 {
		h.DurableIdle = 7 * 24 * time.Hour
	}
}

// mostDurables is how many durable subscriptions a history can have.
const mostDurables = 100_000

// history is one policy's stream. What is written to its subjects is stored, and
// JetStream publishes it again on the live subjects with its place in the headers,
// so that every node hears of the same messages in the same order.
//
// The stream's name ends in its epoch: when it is lost and made anew, positions of
// the old one are not taken for those of the new one, and each message says which
// it is of.
type history struct {
	policy driver.HistoryPolicy
	prefix string // of its subjects, without the kind of destination
	base   string // the stream's name without the epoch
	kind   string // topic or user

	mu       sync.Mutex // held while the stream is looked for
	stream   string     // its name, or "" while unknown
	verified bool       // that its limits are the policy's

	checks checkpoints
}

// newHistories makes what is known of the policies without a server.
func newHistories(prefix string, policies []driver.HistoryPolicy) map[string]*history {
	all := make(map[string]*history, len(policies))
	for _, p := range policies {
		all[p.Name] = &history{
			policy: p, prefix: prefix + ".history." + p.Name,
			base: strings.ReplaceAll(prefix, ".", "_") + "_history_" + p.Name, kind: strings.Split(p.Match.String(), "/")[1],
		}
	}
	return all
}

// epochOf returns which of the histories a stream's name is of, and its epoch.
func (r *Relay) epochOf(stream string) (*history, string) {
	at := strings.LastIndexByte(stream, '_')
	if at < 0 {
		return nil, ""
	}
	name := stream[:at]
	name = name[strings.LastIndexByte(name, '_')+1:]
	if h := r.histories[name]; h != nil && h.base == stream[:at] {
		return h, stream[at+1:]
	}
	return nil, ""
}

// historyNamed returns the history of a policy.
func (r *Relay) historyNamed(name string) (*history, error) {
	if h := r.histories[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("relay: there is no history %q", name)
}

// historyPlace says where a message of a history is to be written.
func (r *Relay) historyPlace(ctx context.Context, name, key string) (place, error) {
	h, err := r.historyNamed(name)
	if err != nil {
		return place{}, err
	}
	stream, err := r.streamOf(ctx, h)
	return place{stream, Subject(h.prefix, key), h.prefix}, err
}

// streamOf returns the name of a history's stream, and makes the stream where
// there is none. It talks to the server when the stream is not known.
func (r *Relay) streamOf(ctx context.Context, h *history) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != "" {
		return h.stream, nil
	}
	if err := r.checkAway(); err != nil {
		return "", err
	}
	all := h.prefix + ".>"
	name, err := r.js.StreamNameBySubject(ctx, all)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		name = h.base + "_" + strconv.FormatInt(time.Now().UnixMilli(), 36)
		if _, err = r.js.CreateStream(ctx, r.historyConfig(h, name)); err != nil {
			// Another node may have been faster, with an epoch of its own.
			found, again := r.js.StreamNameBySubject(ctx, all)
			if again != nil {
				return "", storeError("cannot make the history "+h.policy.Name, err)
			}
			name = found
			if err := r.awaitLeader(ctx, name); err != nil {
				return "", err
			}
		}
	case err != nil:
		return "", storeError("cannot find the history "+h.policy.Name, err)
	case !h.verified:
		if _, err := r.js.UpdateStream(ctx, r.historyConfig(h, name)); err != nil {
			return "", storeError("cannot set the limits of the history "+h.policy.Name, err)
		}
	}
	if _, epoch := r.epochOf(name); epoch == "" {
		return "", fmt.Errorf("relay: the stream %s has the subjects of the history %s, and is not its own", name, h.policy.Name)
	}
	h.stream, h.verified = name, true
	return name, nil
}

// awaitLeader returns when a stream that another node has just made can be used.
func (r *Relay) awaitLeader(ctx context.Context, name string) error {
	for {
		_, err := r.js.Stream(ctx, name)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return storeError("cannot use the new stream "+name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// checkAway returns an error, and so saves a long wait for one, while JetStream is
// known not to answer.
func (r *Relay) checkAway() error {
	if r.away.Load() {
		return fmt.Errorf("%w: JetStream does not answer", driver.ErrUnavailable)
	}
	return nil
}

func (r *Relay) historyConfig(h *history, name string) jetstream.StreamConfig {
	limit := func(n int64) int64 {
		if n <= 0 {
			return -1
		}
		return n
	}
	return jetstream.StreamConfig{
		Name: name, Description: "stompbox: history " + h.policy.Name + ", " + h.policy.Match.String(),
		Subjects: []string{h.prefix + ".>"}, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		Storage: jetstream.FileStorage, Replicas: r.settings.Replicas, Duplicates: r.dedupWindow(h),
		MaxMsgsPerSubject: limit(h.policy.MaxMessages), MaxAge: h.policy.MaxAge, MaxBytes: limit(h.policy.MaxBytes), MaxMsgs: -1,
		MaxConsumers: mostDurables, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true,
		RePublish: &jetstream.RePublish{Source: h.prefix + "." + h.kind + ".>", Destination: r.prefix + "." + h.kind + ".>"},
	}
}

// dedupWindow is that of the queues, or less where messages are not kept as long.
func (r *Relay) dedupWindow(h *history) time.Duration {
	if h.policy.MaxAge > 0 {
		return min(r.queues.DedupWindow, h.policy.MaxAge)
	}
	return r.queues.DedupWindow
}

// forget has the stream looked for again.
func (h *history) forget() {
	h.mu.Lock()
	h.stream = ""
	h.mu.Unlock()
}

// forgetStreams has all streams looked for again.
func (r *Relay) forgetStreams() {
	r.streams.forget()
	for _, h := range r.histories {
		h.forget()
	}
}
