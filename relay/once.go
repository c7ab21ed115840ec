package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// recordAge is how long records are kept, and mostRecords how many of them: beyond,
	// the oldest are forgotten.
	recordAge   = 24 * time.Hour
	mostRecords = 100_000
)

func (r *Relay) recordStream() string { return strings.ReplaceAll(r.prefix, ".", "_") + "_once" }

func (r *Relay) recordSubject(key string) string { return r.prefix + ".once." + key }

// Record returns what is kept under a key, and its revision, which is 0 where there is
// nothing. All nodes have the same records. Keys are letters and digits.
func (r *Relay) Record(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := r.checkAway(); err != nil {
		return nil, 0, err
	}
	stream, err := r.js.Stream(ctx, r.recordStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, storeError("cannot look up a record", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, r.recordSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, storeError("cannot look up a record", err)
	}
	return msg.Data, msg.Sequence, nil
}

// PutRecord keeps a record for a day, where the revision under its key is still last,
// and returns the new one. Else the error wraps [driver.ErrRecordChanged].
func (r *Relay) PutRecord(ctx context.Context, key string, record []byte, last uint64) (uint64, error) {
	if err := r.checkAway(); err != nil {
		return 0, err
	}
	put := func() (*jetstream.PubAck, error) {
		return r.js.PublishMsg(ctx, &nats.Msg{Subject: r.recordSubject(key), Data: record}, jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithRetryAttempts(0))
	}
	ack, err := put()
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if err := r.makeRecords(ctx); err != nil {
			return 0, err
		}
		ack, err = put()
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

func (r *Relay) makeRecords(ctx context.Context) error {
	_, err := r.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: r.recordStream(), Subjects: []string{r.recordSubject(">")}, Description: "stompbox: which messages of the HTTP API were sent, by idempotency key",
		MaxMsgsPerSubject: 1, MaxAge: recordAge, MaxMsgs: mostRecords, Discard: jetstream.DiscardOld, Replicas: r.queues.Replicas,
	})
	if err != nil {
		return storeError("cannot make the stream "+r.recordStream(), err)
	}
	return nil
}
