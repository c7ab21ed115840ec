package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// The kinds of what an archive has.
const (
	kindQueues      = "queues"
	kindHistory     = "history"
	kindDedup       = "dedup-ids"
	kindBans        = "bans"
	kindIdempotency = "idempotency-keys"
)

// metadataRestored is where a stream says when it was restored, in RFC 3339: what is older
// may have been delivered before.
const metadataRestored = "stompbox-restored"

// archive is a [driver.Archive] on snapshots of JetStream.
type archive struct {
	link      *link
	readers   *readers
	queues    *queueStreams
	former    *formerQueues
	histories *historyStreams
	dedup     *dedupJournal
	bans      *bans
	copies    *copies
}

func (a *archive) subject() string { return a.link.prefix + ".node.restored" }

// begin subscribes to what is restored on other nodes, and here.
func (a *archive) begin() error {
	if _, err := a.link.conn.Subscribe(a.subject(), func(*nats.Msg) { a.lookAgain() }); err != nil {
		return err
	}
	return a.copies.members.HandleRequest(restoringSubject, func(policy []byte) []byte {
		if h := a.histories.all[string(policy)]; h != nil {
			h.elsewhere.Store(time.Now().Add(makeHold).UnixNano())
			h.reset() // once a stream that is being made is there
		}
		return nil
	})
}

// restoringSubject is of the question that has a node make no stream for a history.
const restoringSubject = "restoring"

// makeHold is for how long: until the server has taken the restore, and no second stream.
const makeHold = 10 * time.Second

// hold has all nodes make no stream for a history that has none. Where another node
// makes one meanwhile, the server refuses the restore, and only once it has all messages.
func (a *archive) hold(ctx context.Context, h *history) {
	h.restoring.Store(true)
	h.reset()
	_, _ = a.copies.members.Request(ctx, restoringSubject, []byte(h.policy.Name))
}

// lookAgain has all that is known of streams looked for again.
func (a *archive) lookAgain() {
	a.queues.forget()
	a.former.forget()
	a.dedup.reload()
	for _, h := range a.histories.all {
		h.reset()
	}
	a.readers.markLost()
	a.bans.mayHaveMissed()
}

// announce has all nodes look again.
func (a *archive) announce() {
	a.lookAgain()
	_ = a.link.conn.Publish(a.subject(), nil) // who does not hear of it finds out when it asks
}

// kindOf returns what a stream has, or "" for one that is no part of an archive. What is in
// memory only does not outlive its server, and so no backup has it.
func (a *archive) kindOf(stream string, storage jetstream.StorageType) string {
	base := streamBase(a.link.prefix)
	switch {
	case storage != jetstream.FileStorage:
		return ""
	case stream == a.dedup.stream():
		return kindDedup
	case stream == base+"_once":
		return kindIdempotency
	case stream == bansStream(a.link.prefix):
		return kindBans
	case strings.HasPrefix(stream, base+"_history_"):
		return kindHistory
	case stream == base+"_queues" || strings.HasPrefix(stream, base+"_queue_"):
		return kindQueues
	}
	return ""
}

// Contents lists what is kept.
func (a *archive) Contents(ctx context.Context) ([]driver.ArchiveEntry, error) {
	if err := a.link.checkAsk(); err != nil {
		return nil, err
	}
	all := []driver.ArchiveEntry{}
	streams := a.link.js.ListStreams(ctx)
	for _, info := range drain(streams.Info()) {
		kind := a.kindOf(info.Config.Name, info.Config.Storage)
		if kind == "" || info.State.Msgs == 0 && info.State.LastSeq == 0 {
			continue
		}
		if kind == kindBans {
			all = append(all, a.bans.archived(info))
			continue
		}
		entry := driver.ArchiveEntry{Name: info.Config.Name, Kind: kind, Messages: info.State.Msgs, Bytes: info.State.Bytes}
		var err error
		if entry.Config, err = json.Marshal(info.Config); err != nil {
			return nil, err
		}
		if entry.State, err = json.Marshal(info.State); err != nil {
			return nil, err
		}
		if kind == kindHistory {
			if entry.Durables, err = a.durables(ctx, info.Config.Name); err != nil {
				return nil, err
			}
		}
		all = append(all, entry)
	}
	if err := streams.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, storeError("cannot list what is kept", err)
	}
	slices.SortStableFunc(all, func(a, b driver.ArchiveEntry) int { return cmp.Compare(a.Kind, b.Kind) }) // dedup ids first
	return all, nil
}

// durables lists the durable subscriptions to a history. They are listed before the
// messages are read: so each goes on at a place that the messages reach.
func (a *archive) durables(ctx context.Context, name string) (all []driver.ArchivedDurable, err error) {
	stream, err := a.link.js.Stream(ctx, name)
	if err != nil {
		return nil, storeError("cannot look at "+name, err)
	}
	consumers := stream.ListConsumers(ctx)
	for _, info := range drain(consumers.Info()) {
		// A server of a cluster counts nothing as acknowledged before the first ACK.
		d := driver.ArchivedDurable{Name: info.Name, Next: max(info.AckFloor.Stream+1, info.Config.OptStartSeq)}
		if d.Config, err = json.Marshal(info.Config); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	if err := consumers.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, storeError("cannot list the durable subscriptions to "+name, err)
	}
	return all, nil
}

// restoredAt reads from the metadata of a stream when it was restored, in nanoseconds since
// 1970, or 0.
func restoredAt(metadata map[string]string) int64 {
	when, err := time.Parse(time.RFC3339Nano, metadata[metadataRestored])
	if err != nil {
		return 0
	}
	return when.UnixNano()
}

// keepRestored returns metadata with what another one says of when the stream was restored.
func keepRestored(metadata, known map[string]string) map[string]string {
	when, ok := known[metadataRestored]
	if !ok {
		return metadata
	}
	if metadata == nil {
		metadata = make(map[string]string)
	}
	metadata[metadataRestored] = when
	return metadata
}

// CheckImport returns what is there already of entries.
func (a *archive) CheckImport(ctx context.Context, entries []driver.ArchiveEntry) error {
	if err := a.link.checkWrite(); err != nil {
		return err
	}
	for _, entry := range entries {
		config, err := a.configOf(entry)
		if err != nil {
			return err
		}
		if entry.Kind == kindBans {
			continue // which are added to those that are there
		}
		if _, err := a.inTheWay(ctx, entry, config); err != nil {
			return err
		}
	}
	return nil
}

// configOf reads and checks the configuration of an entry, which an operator may have edited.
func (a *archive) configOf(entry driver.ArchiveEntry) (*jetstream.StreamConfig, error) {
	config := new(jetstream.StreamConfig)
	if entry.Kind == kindBans && a.kindOf(entry.Name, config.Storage) == kindBans {
		return config, nil // none is needed
	}
	if err := json.Unmarshal(entry.Config, config); err != nil {
		return nil, fmt.Errorf("%w: the configuration of %s: %w", driver.ErrArchive, entry.Name, err)
	}
	if config.Name != entry.Name || entry.Kind == "" || a.kindOf(entry.Name, config.Storage) != entry.Kind {
		return nil, fmt.Errorf("%w: %s is not of this broker; was nats.prefix another one?", driver.ErrArchive, entry.Name)
	}
	if entry.Kind == kindHistory {
		h, _ := a.histories.epochOf(entry.Name)
		if h == nil {
			return nil, fmt.Errorf("%w: %s is of a history that history.policies does not have", driver.ErrArchive, entry.Name)
		}
		own := a.histories.config(h, entry.Name)
		delete(own.Metadata, metadataCleared) // what was cleared since is there again
		if text, ok := config.Metadata[metadataCleared]; ok {
			own.Metadata[metadataCleared] = text
		}
		return &own, nil
	}
	for _, subject := range config.Subjects {
		if !strings.HasPrefix(subject, a.link.prefix+".") {
			return nil, fmt.Errorf("%w: %s has subjects of another program", driver.ErrArchive, entry.Name)
		}
	}
	config.Replicas = a.queues.settings.Replicas
	config.Mirror, config.Sources, config.Placement, config.RePublish, config.SubjectTransform = nil, nil, nil, nil, nil
	return config, nil
}

// inTheWay returns the streams that an entry would replace, all of which are empty.
func (a *archive) inTheWay(ctx context.Context, entry driver.ArchiveEntry, config *jetstream.StreamConfig) (names []string, err error) {
	found := make(map[string]bool)
	for _, subject := range config.Subjects {
		streams := a.link.js.ListStreams(ctx, jetstream.WithStreamListSubject(subject))
		for _, info := range drain(streams.Info()) {
			if info.State.Msgs > 0 {
				return nil, fmt.Errorf("%w: %s has %d messages", driver.ErrNotEmpty, info.Config.Name, info.State.Msgs)
			}
			if !found[info.Config.Name] {
				found[info.Config.Name] = true
				names = append(names, info.Config.Name)
			}
		}
		if err := streams.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return nil, storeError("cannot look what is there already of "+entry.Name, err)
		}
	}
	return names, nil
}
