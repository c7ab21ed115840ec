package relay

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// TestBansAreKeptOverARestart, and those that are over are removed.
func TestBansAreKeptOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() *Relay {
		r, err := Embed(EmbeddedOptions{DataDir: dir}, Options{Logger: slog.New(slog.NewTextHandler(new(local.Log), nil))})
		require.NoError(t, err)
		return r
	}
	ctx := context.Background()
	r := start()
	var mu sync.Mutex
	seen := map[string]int{}
	watch := func(ban []byte) {
		mu.Lock()
		defer mu.Unlock()
		seen[string(ban)]++
	}
	read := false
	require.NoError(t, r.Driver().Bans.WatchBans(watch, func() { read = true }))
	require.True(t, read)
	require.Empty(t, seen)
	until := time.Now().Add(time.Hour)
	require.NoError(t, r.Driver().Bans.PutBan(ctx, "user a b.*>", []byte(`{"user":"first"}`), until))
	require.NoError(t, r.Driver().Bans.PutBan(ctx, "user a b.*>", []byte(`{"user":"second"}`), until))
	require.NoError(t, r.Driver().Bans.PutBan(ctx, "user old", []byte(`{"user":"old"}`), time.Now().Add(-2*banGrace)))
	r.Close()

	mu.Lock()
	clear(seen)
	mu.Unlock()
	r = start()
	require.NoError(t, r.Driver().Bans.WatchBans(watch, func() {
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, seen, 1, "they come before what says that all did")
	}))
	mu.Lock()
	require.Equal(t, map[string]int{`{"user":"second"}`: 1}, seen, "they are there when the watch has begun")
	mu.Unlock()
	kv, err := r.link.js.KeyValue(ctx, r.Driver().Bans.(*bans).bucket())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		keys, err := kv.Keys(ctx)
		return err == nil && len(keys) == 1
	}, 10*time.Second, 5*time.Millisecond)
	r.Close()
}

// TestLittleRoomIsEnoughForBansAndRecords: what they reserve is no more than there is.
func TestLittleRoomIsEnoughForBansAndRecords(t *testing.T) {
	t.Parallel()
	for _, room := range []int64{40 << 20, 1 << 19} {
		r, err := Embed(EmbeddedOptions{DataDir: t.TempDir(), MaxBytes: room}, Options{})
		require.NoError(t, err)
		t.Cleanup(r.Close)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err = r.idempotency.PutRecord(ctx, "ann.key", []byte("record"), 0)
		require.NoError(t, err)
		require.NoError(t, r.Driver().Bans.PutBan(ctx, "user ann", []byte("{}"), time.Now().Add(time.Hour)))
		stream, err := r.link.js.Stream(ctx, r.idempotency.recordStream())
		require.NoError(t, err)
		require.LessOrEqual(t, stream.CachedInfo().Config.MaxBytes, room)
	}
}

// TestBansOfAServerThatIsBehindAreNotAll: what is read may come from another server than the
// leader, which does not have the last ones yet.
func TestBansOfAServerThatIsBehindAreNotAll(t *testing.T) {
	t.Parallel()
	gone := false
	r := bansReached{last: 3, lacks: func(uint64) bool { return gone }}
	require.False(t, r.note(banEntry(1)))
	require.False(t, r.note(nil), "it has one of three")
	require.NotNil(t, r.again)
	require.False(t, r.note(banEntry(2)))
	require.False(t, r.note(nil))
	require.True(t, r.note(banEntry(3)))

	r = bansReached{last: 3, lacks: func(uint64) bool { return gone }}
	require.False(t, r.note(nil))
	gone = true // an operator removed the last ones
	require.True(t, r.note(nil))

	r = bansReached{lacks: func(uint64) bool { return false }}
	require.True(t, r.note(nil), "there is none")
}

type banEntry uint64

func (banEntry) Bucket() string                  { return "" }
func (banEntry) Key() string                     { return "" }
func (banEntry) Value() []byte                   { return nil }
func (b banEntry) Revision() uint64              { return uint64(b) }
func (banEntry) Created() time.Time              { return time.Time{} }
func (banEntry) Delta() uint64                   { return 0 }
func (banEntry) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }

// TestBansOfAClusterAreOnThreeServers: those of an older version too, which were on as many as
// messages of queues.
func TestBansOfAClusterAreOnThreeServers(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	for _, d := range all {
		require.Eventually(t, d.Ready, patience, 10*time.Millisecond)
	}
	replicas := func() int {
		info, err := all[0].link.lookAt(t.Context(), bansStream(all[0].link.prefix))
		require.NoError(t, err)
		return info.Config.Replicas
	}
	_, err := all[0].link.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: all[0].bans.bucket(), Replicas: 1})
	require.NoError(t, err)
	require.NoError(t, all[0].bans.PutBan(t.Context(), "user ann", []byte(`{"user":"ann"}`), time.Now().Add(time.Hour)))
	require.Equal(t, 1, replicas())
	read := make(chan struct{})
	require.NoError(t, all[1].bans.WatchBans(func([]byte) {}, func() { close(read) }))
	<-read
	require.Eventually(t, func() bool { return replicas() == 3 }, patience, 10*time.Millisecond)

	require.NoError(t, all[0].link.js.DeleteKeyValue(t.Context(), all[0].bans.bucket()))
	require.NoError(t, all[0].bans.PutBan(t.Context(), "user ann", []byte(`{"user":"ann"}`), time.Now().Add(time.Hour)))
	require.Equal(t, 3, replicas())
}

// TestABanIsRemovedWellAfterItsEnd: the clock of this node may be ahead of those of the others.
func TestABanIsRemovedWellAfterItsEnd(t *testing.T) {
	t.Parallel()
	r, err := Embed(EmbeddedOptions{DataDir: t.TempDir()}, Options{})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	require.NoError(t, r.bans.PutBan(t.Context(), "user ann", []byte(`{"user":"ann"}`), time.Now().Add(-time.Minute)))
	seen := make(chan string, 1)
	require.NoError(t, r.bans.WatchBans(func(ban []byte) { seen <- string(ban) }, func() {}))
	require.Equal(t, `{"user":"ann"}`, <-seen, "the broker knows whether it is over")
}
