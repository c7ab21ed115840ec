package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxUnreadSubjects is how many destinations a history may have whose policy is compared
	// with them at the start.
	maxUnreadSubjects = 100_000
	// unreadRetry is after how long it is looked again where the store did not answer.
	unreadRetry = 2 * time.Second
	// ownStreams begins the description of each stream of any prefix.
	ownStreams = "stompbox: "
)

// unread says at a start what the store keeps and no setting of this node reads. It is kept
// until its limits or an operator remove it.
type unread struct {
	link      *link
	archive   *archive
	histories *historyStreams
	transient func(queue string) bool
}

// run reports once, as soon as JetStream answers.
func (u *unread) run() {
	for !u.check() {
		pause(u.link.ctx, unreadRetry)
	}
}

// check reports whether there is no more to do.
func (u *unread) check() bool {
	if u.link.ctx.Err() != nil {
		return true
	}
	if u.link.state() != connected {
		return false
	}
	ctx, cancel := context.WithTimeout(u.link.ctx, inventoryTimeout)
	defer cancel()
	err := u.report(ctx)
	if err != nil {
		u.link.log.Debug("what no setting reads could not be found out; it is tried again", "error", err)
	}
	return err == nil
}

func (u *unread) report(ctx context.Context) error {
	base := streamBase(u.link.prefix) + "_"
	streams := u.link.js.ListStreams(ctx)
	all := drain(streams.Info())
	if err := streams.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return storeError("cannot list what is kept", err)
	}
	for _, info := range all {
		name := info.Config.Name
		kind := u.archive.kindOf(name, info.Config.Storage)
		switch {
		case info.State.Msgs == 0:
		case kind == kindHistory:
			if err := u.reportHistory(ctx, info); err != nil {
				return err
			}
		case kind == kindQueues:
			if err := u.reportQueues(ctx, info); err != nil {
				return err
			}
		case u.link.server != nil && !strings.HasPrefix(name, base) && strings.HasPrefix(info.Config.Description, ownStreams):
			u.link.log.Warn("the store has messages of another nats.prefix; nothing reads them", "stream", name, "messages", info.State.Msgs)
		}
	}
	return nil
}

// reportHistory compares what a history has with the policies.
func (u *unread) reportHistory(ctx context.Context, info *jetstream.StreamInfo) error {
	name := info.Config.Name
	h, _ := u.histories.epochOf(name)
	if h == nil {
		history := strings.TrimPrefix(name, streamBase(u.link.prefix)+"_history_")
		if at := strings.LastIndexByte(history, '_'); at >= 0 {
			history = history[:at]
		}
		u.link.log.Warn("the store has a history that history.policies does not name; nothing reads it, and durable subscriptions to it wait. Give a policy its name again to read it",
			"history", history, "messages", info.State.Msgs, "durable_subscriptions", info.State.Consumers)
		return nil
	}
	if info.State.NumSubjects > maxUnreadSubjects {
		return nil
	}
	counted, err := askLeader(ctx, u.link, name, ">")
	if err != nil {
		return err
	}
	var messages uint64
	var unread []string
	for subject, n := range counted.State.Subjects {
		if key, ok := Destination(h.prefix, subject); ok && u.histories.ofKey(key) != h {
			messages += n
			unread = append(unread, key)
		}
	}
	if messages > 0 {
		u.link.log.Warn("a history has messages of destinations that its policy does not match, or an earlier one does; nothing reads them. Was history.policies changed?",
			"history", h.policy.Name, "destinations", len(unread), "such_as", slices.Min(unread), "messages", messages)
	}
	return nil
}

// reportQueues looks for stored messages of queues that are transient now.
func (u *unread) reportQueues(ctx context.Context, info *jetstream.StreamInfo) error {
	if u.transient == nil || info.State.NumSubjects > maxUnreadSubjects {
		return nil
	}
	counted, err := askLeader(ctx, u.link, info.Config.Name, ">")
	if err != nil {
		return err
	}
	var messages uint64
	var unread []string
	for subject, n := range counted.State.Subjects {
		for _, prefix := range []string{boundedPrefix(u.link.prefix), u.link.prefix} {
			queue, ok := Destination(prefix, subject)
			if ok && u.transient(queue) {
				messages += n
				unread = append(unread, queue)
			}
			if ok {
				break
			}
		}
	}
	if messages > 0 {
		u.link.log.Warn("the store has messages of queues that are transient now; no consumer gets them. Move them with stompbox queue move --to, or change queues.transient",
			"queues", len(unread), "such_as", slices.Min(unread), "messages", messages)
	}
	return nil
}
