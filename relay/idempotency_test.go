package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// TestOneOwnerPushesOutNoOthersRecords has one owner put far more records than there is room
// for: all that goes is that owner's.
func TestOneOwnerPushesOutNoOthersRecords(t *testing.T) {
	t.Parallel()
	r, ctx := alone(t)
	store := r.idempotency
	store.owners.limit = 50 * (recordOverhead + 10)
	for i := range 20 {
		_, err := store.PutRecord(ctx, fmt.Sprintf("bob.b%d", i), []byte("0123456789"), 0)
		require.NoError(t, err)
	}
	for i := range 200 {
		seq, err := store.PutRecord(ctx, fmt.Sprintf("eve.e%d", i), []byte("0123456789"), 0)
		require.NoError(t, err)
		_, err = store.PutRecord(ctx, fmt.Sprintf("eve.e%d", i), []byte("9876543210"), seq) // as it ends
		require.NoError(t, err)
	}
	for i := range 20 {
		record, revision, err := store.Record(ctx, fmt.Sprintf("bob.b%d", i))
		require.NoError(t, err)
		require.NotZero(t, revision, i)
		require.Equal(t, "0123456789", string(record))
	}
	_, revision, err := store.Record(ctx, "eve.e169")
	require.NoError(t, err)
	require.Zero(t, revision, "30 of hers have room")
	record, _, err := store.Record(ctx, "eve.e170")
	require.NoError(t, err)
	require.Equal(t, "9876543210", string(record))
	require.EqualValues(t, 170, r.Stats().RecordsRemoved)
	stream, err := r.link.js.Stream(ctx, store.recordStream())
	require.NoError(t, err)
	require.EqualValues(t, 50, stream.CachedInfo().State.Msgs)

	// A record that is large counts as such.
	_, err = store.PutRecord(ctx, "eve.large", []byte(strings.Repeat("x", 20*(recordOverhead+10)-recordOverhead)), 0)
	require.NoError(t, err)
	_, revision, err = store.Record(ctx, "eve.e185")
	require.NoError(t, err)
	require.Zero(t, revision)
	_, revision, err = store.Record(ctx, "bob.b0")
	require.NoError(t, err)
	require.NotZero(t, revision)
}

// TestRecordsOfFormerVersionsGetMoreRoom has the stream of a former version, whose limit one
// node reached.
func TestRecordsOfFormerVersionsGetMoreRoom(t *testing.T) {
	t.Parallel()
	r, ctx := alone(t)
	store := r.idempotency
	_, err := r.link.js.CreateStream(ctx, jetstream.StreamConfig{Name: store.recordStream(), Subjects: []string{store.recordSubject(">")}, MaxMsgsPerSubject: 1, MaxMsgs: 100_000, MaxAge: recordAge})
	require.NoError(t, err)
	_, err = store.PutRecord(ctx, "bob.a", []byte("x"), 0)
	require.NoError(t, err)
	stream, err := r.link.js.Stream(ctx, store.recordStream())
	require.NoError(t, err)
	require.EqualValues(t, maxRecords, stream.CachedInfo().Config.MaxMsgs)
}

func TestRecordsAreForgottenWithTheirAge(t *testing.T) {
	t.Parallel()
	o := newRecordOwners(10 * recordOverhead)
	now := time.Now()
	for i := range 10 {
		require.Empty(t, o.put("old", fmt.Sprint(i), uint64(i), 0, now))
	}
	later := now.Add(recordAge + time.Second)
	require.Empty(t, o.put("new", "a", 10, 0, later), "those of old are gone already")
	require.Equal(t, recordOverhead, o.bytes)
	require.Len(t, o.byOwner, 1)
	for i := range 9 {
		require.Empty(t, o.put("new", fmt.Sprint(i), uint64(20+i), 0, later))
	}
	require.Equal(t, []uint64{30}, o.put("new", "a", 30, recordOverhead, later), "which is the oldest of hers, and larger now")
	require.Equal(t, 9*recordOverhead, o.bytes)
	require.Len(t, o.byOwner["new"].numbers, 9)
}
