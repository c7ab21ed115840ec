package driver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

// ErrNotEmpty is wrapped by errors of [Archive] that name existing data.
var ErrNotEmpty = errors.New("there is something already")

// ErrArchive is wrapped by errors of [Archive] that say why an entry cannot be restored here.
var ErrArchive = errors.New("it cannot be restored here")

// ErrNotReplicated is wrapped by errors of [Archive] that say which nodes have what was imported,
// where a majority does not have all of it.
var ErrNotReplicated = errors.New("a majority of the nodes does not have all of it yet")

// Archive exports the data of a backend that is in use, and imports it into another one. It is
// safe for concurrent use.
type Archive interface {
	// Contents lists the stored entries.
	Contents(ctx context.Context) ([]ArchiveEntry, error)
	// Export writes the messages of an entry.
	Export(ctx context.Context, name string, w io.Writer) error
	// CheckImport returns an error that wraps [ErrNotEmpty] or [ErrArchive] if the entries cannot
	// be imported.
	CheckImport(ctx context.Context, entries []ArchiveEntry) error
	// Import restores the output of Export. It never replaces anything that has messages. Bans are
	// added to those that are there. It returns when the data is as safe as what was confirmed to a
	// client: with an error that wraps [ErrNotReplicated] it is there, and on fewer nodes than that.
	Import(ctx context.Context, entry ArchiveEntry, r io.Reader) error
}

// ArchiveEntry is a stream of messages, with the state of its subscriptions.
type ArchiveEntry struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"` // queues, history, dedup-ids, idempotency-keys or bans
	Config   json.RawMessage `json:"config"`
	Messages uint64          `json:"messages"`
	Bytes    uint64          `json:"bytes"`
	// State is additional data that the backend needs for the import.
	State json.RawMessage `json:"state"`
	// Durables are the durable subscriptions to a history.
	Durables []ArchivedDurable `json:"durables,omitempty"`
}

// ArchivedDurable is a durable subscription that has received everything before Next.
type ArchivedDurable struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`
	Next   uint64          `json:"next"`
}
