package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// recordAge is how long records are kept, and maxRecords how many of them: beyond,
	// the oldest are forgotten. It is more than some nodes keep together, so that what
	// each of them does with its own comes first.
	recordAge  = 24 * time.Hour
	maxRecords = 500_000
	// maxRecordBytes bounds all of them together, on disk.
	maxRecordBytes = 1 << 30
	// removeTimeout is how long it may take to remove records.
	removeTimeout = 5 * time.Second
)

// idempotency is a [driver.IdempotencyStore] on a stream of its own.
type idempotency struct {
	link     *link
	replicas int
	copies   *copies
	owners   *recordOwners
	widened  atomic.Bool  // the stream's limits are those above
	removed  atomic.Int64 // records, since their owner has most
}

func newIdempotency(l *link, replicas int) *idempotency {
	return &idempotency{link: l, replicas: replicas, owners: newRecordOwners(nodeRecordBytes)}
}

func (i *idempotency) recordStream() string { return streamBase(i.link.prefix) + "_once" }

// recordSubject is where a key's record is. Its owner is no part of it.
func (i *idempotency) recordSubject(key string) string {
	return i.link.prefix + ".once." + key[strings.IndexByte(key, '.')+1:]
}

// Record returns what is kept under a key, and its revision, which is 0 where there is
// nothing. All nodes have the same records.
func (i *idempotency) Record(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := i.link.checkAsk(); err != nil {
		return nil, 0, err
	}
	stream, err := i.link.js.Stream(ctx, i.recordStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, storeError("cannot look up a record", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, i.recordSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, storeError("cannot look up a record", err)
	}
	if i.link.tooNew(msg.Header, msg.Subject) {
		return nil, 0, fmt.Errorf("%w: a record cannot be read: %w", driver.ErrUnavailable, errNewer)
	}
	return msg.Data, msg.Sequence, nil
}

// PutRecord keeps a record for a day, where the revision under its key is still last,
// and returns the new one. Else the error wraps [driver.ErrRecordChanged].
func (i *idempotency) PutRecord(ctx context.Context, key string, record []byte, last uint64) (uint64, error) {
	if err := i.link.checkAsk(); err != nil {
		return 0, err
	}
	put := func() (*jetstream.PubAck, error) {
		return i.link.js.PublishMsg(ctx, versioned(i.recordSubject(key), record), jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithRetryAttempts(0))
	}
	ack, err := put()
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if err := i.makeRecords(ctx); err != nil {
			return 0, err
		}
		ack, err = put()
	}
	if err == nil {
		i.keepShares(ctx, key, ack.Sequence, len(record))
	}
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, fmt.Errorf("relay: %w", driver.ErrRecordChanged)
	case err != nil:
		return 0, storeError("cannot keep a record", err)
	}
	return ack.Sequence, nil
}

// keepShares removes records of the owner who has most, where there are too many.
func (i *idempotency) keepShares(ctx context.Context, key string, seq uint64, size int) {
	owner, hash, _ := strings.Cut(key, ".")
	remove := i.owners.put(owner, hash, seq, size, time.Now())
	if len(remove) == 0 && i.widened.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	stream, err := i.link.js.Stream(ctx, i.recordStream())
	if err != nil {
		return // what is left is forgotten with time
	}
	if !i.widened.Swap(true) && stream.CachedInfo().Config.MaxMsgs < maxRecords { // of a former version
		config := stream.CachedInfo().Config
		config.MaxMsgs = maxRecords
		if _, err := i.link.js.UpdateStream(ctx, config); err != nil {
			i.widened.Store(false)
		}
	}
	for _, seq := range remove {
		if stream.DeleteMsg(ctx, seq) == nil { // else it was used again elsewhere, or is gone
			i.removed.Add(1)
		}
	}
}

func (i *idempotency) makeRecords(ctx context.Context) error {
	records := jetstream.StreamConfig{
		Name: i.recordStream(), Subjects: []string{i.recordSubject(">")}, Description: "stompbox: which messages of the HTTP API were sent, by idempotency key",
		MaxMsgsPerSubject: 1, MaxAge: recordAge, MaxMsgs: maxRecords, Discard: jetstream.DiscardOld, Replicas: i.replicas,
	}
	before := i.replicas
	if there, err := i.link.js.Stream(ctx, i.recordStream()); err == nil {
		before = there.CachedInfo().Config.Replicas
	}
	_, err := createReserving(ctx, maxRecordBytes, func(bytes int64) (jetstream.Stream, error) {
		records.MaxBytes = bytes
		return i.link.js.CreateOrUpdateStream(ctx, records)
	})
	if err != nil {
		return storeError("cannot make the stream "+i.recordStream(), err)
	}
	i.copies.grown(i.recordStream(), before, i.replicas)
	return nil
}
