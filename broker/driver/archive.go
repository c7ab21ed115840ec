package driver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

// ErrNotEmpty is wrapped by errors of [Archive] that say what is in the way.
var ErrNotEmpty = errors.New("there is something already")

// ErrArchive is wrapped by errors of [Archive] that say why what was taken out does not
// fit here.
var ErrArchive = errors.New("it cannot be restored here")

// Archive takes out what a backend keeps, while it is in use, and puts it into another
// one. It is safe for concurrent use.
type Archive interface {
	// Contents lists what is kept.
	Contents(ctx context.Context) ([]ArchiveEntry, error)
	// Export writes the messages of an entry.
	Export(ctx context.Context, name string, w io.Writer) error
	// CheckImport returns an error that wraps [ErrNotEmpty] or [ErrArchive] where the
	// entries cannot be put in.
	CheckImport(ctx context.Context, entries []ArchiveEntry) error
	// Import puts in what Export wrote. It replaces nothing that has messages.
	Import(ctx context.Context, entry ArchiveEntry, r io.Reader) error
}

// ArchiveEntry is a stream of messages, and what is remembered of its subscriptions.
type ArchiveEntry struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"` // queues, history, dedup-ids or idempotency-keys
	Config   json.RawMessage `json:"config"`
	Messages uint64          `json:"messages"`
	Bytes    uint64          `json:"bytes"`
	// State is what the backend has to know of it beside.
	State json.RawMessage `json:"state"`
	// Durables are the durable subscriptions to a history.
	Durables []ArchivedDurable `json:"durables,omitempty"`
}

// ArchivedDurable is a durable subscription, which has had all before a place.
type ArchivedDurable struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`
	Next   uint64          `json:"next"`
}
