package relay

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	inventoryFile = "inventory.json"
	// inventoryEvery is how often it is written what the store has.
	inventoryEvery = time.Minute
	// inventoryTimeout bounds one look at all that the store has.
	inventoryTimeout = 10 * time.Second
	// inventoryAtStop bounds the last one, which a stop waits for.
	inventoryAtStop = 2 * time.Second
)

// inventory is what a store had at some time. The next start compares.
type inventory struct {
	At      time.Time                `json:"at"`
	Clean   bool                     `json:"clean"` // nothing was stored or removed after it
	Streams map[string]inventoryItem `json:"streams"`
}

// inventoryItem is what one stream had.
type inventoryItem struct {
	Kind      string    `json:"kind"`
	Created   time.Time `json:"created"`
	Messages  uint64    `json:"messages"`
	First     uint64    `json:"first"`
	Last      uint64    `json:"last"`
	Subjects  uint64    `json:"subjects"`
	Consumers int       `json:"consumers"`
}

// inventories write down what the embedded server keeps, and say at a start what is there
// and what there was. JetStream itself starts with what it can read.
type inventories struct {
	link     *link
	archive  *archive
	before   *inventory // at the start; nil where nothing is known
	due      time.Time  // of the next one; the watch alone uses it
	reported bool       // the start was
}

func newInventories(l *link, a *archive) *inventories {
	i := &inventories{link: l, archive: a}
	if text, err := os.ReadFile(i.path()); err == nil {
		before := new(inventory)
		if err := json.Unmarshal(text, before); err == nil {
			i.before = before
		}
	}
	i.addConfirmed(a.histories.confirmed)
	return i
}

// addConfirmed adds up to where each stream was confirmed since it was last written down what
// there is.
func (i *inventories) addConfirmed(confirmed *confirmedPlaces) {
	since := time.Time{}
	if i.before != nil {
		since = i.before.At
	}
	for stream, seq := range confirmed.all(since) {
		if i.before == nil {
			i.before = &inventory{At: i.link.server.data.started}
		}
		if i.before.Streams == nil {
			i.before.Streams = make(map[string]inventoryItem)
		}
		was, ok := i.before.Streams[stream]
		if was.Last >= seq {
			continue
		}
		if !ok {
			was.Kind = i.archive.kindOf(stream, jetstream.FileStorage)
		}
		was.Last = seq
		i.before.Clean = false
		i.before.Streams[stream] = was
	}
}

func (i *inventories) path() string { return i.link.server.data.file(inventoryFile) }

// take looks at all that is kept.
func (i *inventories) take(ctx context.Context) (*inventory, error) {
	now := &inventory{At: time.Now().UTC(), Streams: make(map[string]inventoryItem)}
	streams := i.link.js.ListStreams(ctx)
	for _, info := range drain(streams.Info()) {
		if kind := i.archive.kindOf(info.Config.Name, info.Config.Storage); kind != "" {
			s := info.State
			now.Streams[info.Config.Name] = inventoryItem{
				Kind: kind, Created: info.Created, Messages: s.Msgs, First: s.FirstSeq, Last: s.LastSeq, Subjects: s.NumSubjects, Consumers: s.Consumers,
			}
		}
	}
	if err := streams.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, storeError("cannot list what is kept", err)
	}
	return now, nil
}

// check reports the start once JetStream answers, and then writes down what there is now
// and then. A server of a cluster waits until it knows what the others have.
func (i *inventories) check(now time.Time) {
	server := i.link.server
	if now.Before(i.due) || i.link.state() != connected || server.clustered && i.link.states.connectedFor(now) < staleWait {
		return
	}
	ctx, cancel := context.WithTimeout(i.link.ctx, inventoryTimeout)
	defer cancel()
	there, err := i.take(ctx)
	if err != nil {
		return // it is tried again
	}
	if !i.reported {
		if err := i.report(ctx, there); err != nil {
			return
		}
		i.reported = true
		queues := queuePlace(i.link.prefix, "/queue/any", driver.QueueOptions{}).stream
		i.archive.histories.confirmed.beginAgain(confirmedQueues, queues, there.Streams[queues].Last)
	}
	i.due = now.Add(inventoryEvery)
	i.write(there)
}

// write replaces the last inventory, or leaves it where the disk is full.
func (i *inventories) write(there *inventory) {
	text, err := json.Marshal(there)
	if err != nil {
		return
	}
	written := i.path() + ".new"
	if err := os.WriteFile(written, text, 0o600); err == nil {
		_ = os.Rename(written, i.path())
	}
}

// stop writes down what there is at the end of the process. All other use has ended.
func (i *inventories) stop() {
	if i == nil || i.link.state() != connected {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), inventoryAtStop)
	defer cancel()
	if there, err := i.take(ctx); err == nil {
		there.Clean = !i.link.server.clustered // the others go on
		i.write(there)
	}
}

// report says what is there, and what is less than it was.
func (i *inventories) report(ctx context.Context, there *inventory) error {
	var queues, queued, histories, kept uint64
	durables := 0
	for _, item := range there.Streams {
		switch item.Kind {
		case kindQueues:
			queues, queued = queues+item.Subjects, queued+item.Messages
		case kindHistory:
			histories, kept, durables = histories+1, kept+item.Messages, durables+item.Consumers
		}
	}
	args := []any{"queues", queues, "messages", queued, "histories", histories, "kept_messages", kept, "durable_subscriptions", durables}
	if i.before == nil {
		i.link.log.Info("the store is open", args...)
		return nil
	}
	losses, err := i.losses(ctx, there)
	if err != nil {
		return err
	}
	i.link.log.Info("the store is open", append(args, "last_known", i.before.At, "stopped_well", i.before.Clean)...)
	for _, loss := range losses {
		i.link.log.Warn("the store has less than before; restore a backup if it is needed", loss...)
	}
	return nil
}

// losses compares with the time before.
func (i *inventories) losses(ctx context.Context, there *inventory) (all [][]any, err error) {
	add := func(stream, what string, had, has any) {
		all = append(all, []any{"stream", stream, "what", what, "had", had, "has", has, "last_known", i.before.At})
	}
	for name, was := range i.before.Streams {
		is, ok := there.Streams[name]
		if !ok {
			if gone, err := i.isGone(ctx, name); err != nil {
				return nil, err
			} else if gone {
				add(name, "it is gone", max(was.Messages, was.Last), 0)
			}
			continue
		}
		switch {
		case !was.Created.IsZero() && !is.Created.Equal(was.Created) && is.Last < was.Last:
			add(name, "it was made again", was.Messages, is.Messages)
		case is.Last < was.Last:
			add(name, "it ends before what it had", was.Last, is.Last)
		case i.before.Clean && is.Kind != kindBans && is.lacks(was): // bans that are over are removed
			add(name, "messages are missing; those that expired meanwhile are among them", was.Messages, is.Messages)
		case i.before.Clean && is.Kind == kindHistory && is.Consumers < was.Consumers:
			add(name, "durable subscriptions are missing; those that expired meanwhile are among them", was.Consumers, is.Consumers)
		}
	}
	return all, nil
}

// lacks reports whether a stream has fewer messages than before, except for those of a history
// that became too old: they go from its beginning.
func (is inventoryItem) lacks(was inventoryItem) bool {
	expired := uint64(0)
	if is.Kind == kindHistory && is.First > was.First {
		expired = is.First - was.First
	}
	return is.Messages+expired < was.Messages
}

// isGone reports whether there is no such stream. One without a leader is not listed, and
// may be there.
func (i *inventories) isGone(ctx context.Context, name string) (bool, error) {
	_, err := i.link.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return true, nil
	}
	return false, err
}
