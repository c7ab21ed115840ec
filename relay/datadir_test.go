package relay_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/internal/test/local"
	"github.com/stompbox/stompbox/relay"
)

func embed(t *testing.T, dir string, policies ...driver.HistoryPolicy) *relay.Relay {
	t.Helper()
	r, err := relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{Histories: relay.HistorySettings{Policies: policies}})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func store(t *testing.T, r *relay.Relay, dest string, o driver.StoreOptions, body string) {
	t.Helper()
	stored := make(chan error, 1)
	r.Driver().Queues.Store(&driver.Message{ID: body, Destination: dest, Key: dest, Timestamp: time.Now().UnixMilli(), Body: []byte(body)}, o, func(err error) { stored <- err })
	require.NoError(t, <-stored)
}

// next returns the next message of a reader.
func next(t *testing.T, q driver.QueueReader, got <-chan driver.Delivery, body string) driver.Delivery {
	t.Helper()
	q.Pull(1)
	select {
	case d := <-got:
		require.Equal(t, body, string(d.Message.Body))
		return d
	case <-time.After(test.Patience):
		t.Fatalf("%q did not come", body)
		return driver.Delivery{}
	}
}

func ack(t *testing.T, q driver.QueueReader, d driver.Delivery) {
	t.Helper()
	acked := make(chan error, 1)
	q.Ack(d, func(err error) { acked <- err })
	require.NoError(t, <-acked)
}

func openQueue(t *testing.T, r *relay.Relay, queue string) (driver.QueueReader, <-chan driver.Delivery) {
	t.Helper()
	got := make(chan driver.Delivery, 10)
	q, err := r.Driver().Queues.OpenQueue(t.Context(), queue, driver.QueueOptions{}, func(d driver.Delivery) { got <- d })
	require.NoError(t, err)
	return q, got
}

// copyTree copies a folder, as it is on disk.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, local.CopyFiles(to, from))
}

func TestADataDirectoryIsOfOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := embed(t, dir)
	store(t, first, "/queue/a", driver.StoreOptions{}, "kept")
	host, err := os.Hostname()
	require.NoError(t, err)
	_, err = relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{})
	require.ErrorContains(t, err, "the data directory "+dir+" is in use by process "+strconv.Itoa(os.Getpid())+" on host "+host)
	first.Close()
	q, got := openQueue(t, embed(t, dir), "/queue/a")
	next(t, q, got, "kept")
}

// TestADataDirectoryIsOfOneProcessByAnyName, and where its lock was removed.
func TestADataDirectoryIsOfOneProcessByAnyName(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there a file that is open cannot be removed, and links to folders are for administrators")
	}
	dir, link, other := t.TempDir(), filepath.Join(t.TempDir(), "link"), t.TempDir()
	first := embed(t, dir)
	require.NoError(t, os.Symlink(dir, link))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nats"), filepath.Join(other, "nats")))
	refused := func(path string) {
		t.Helper()
		_, err := relay.Embed(relay.EmbeddedOptions{DataDir: path}, relay.Options{})
		require.ErrorContains(t, err, "is in use by ")
	}
	refused(link)
	refused(other)
	require.NoError(t, os.Remove(filepath.Join(dir, "lock")))
	refused(dir)
	refused(link)
	first.Close()
	embed(t, other).Close()
	embed(t, link)
}

// died makes a data directory look as if its process had been killed.
func died(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nats", "running"), nil, 0o600))
}

// TestWhatAConsumerTookForAcknowledgedComesAgain has a process die that had written
// that a message was acknowledged, and not that it was removed.
func TestWhatAConsumerTookForAcknowledgedComesAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := embed(t, dir)
	store(t, r, "/queue/a", driver.StoreOptions{}, "first")
	store(t, r, "/queue/a", driver.StoreOptions{}, "second")
	r.Close()
	messages := filepath.Join(dir, "nats", "jetstream", "$G", "streams", "stompbox_queues", "msgs")
	saved := filepath.Join(t.TempDir(), "msgs")
	copyTree(t, saved, messages)

	r = embed(t, dir)
	q, got := openQueue(t, r, "/queue/a")
	ack(t, q, next(t, q, got, "first"))
	ack(t, q, next(t, q, got, "second"))
	r.Close()
	copyTree(t, messages, saved)
	died(t, dir)

	r = embed(t, dir)
	q, got = openQueue(t, r, "/queue/a")
	d := next(t, q, got, "first")
	require.True(t, d.Redelivered)
	ack(t, q, d)
	r.Close()

	// A start later the other server may still have been seen.
	r = embed(t, dir)
	q, got = openQueue(t, r, "/queue/a")
	d = next(t, q, got, "second")
	require.Equal(t, 1, d.Count)
	require.True(t, d.Redelivered)
	store(t, r, "/queue/a", driver.StoreOptions{}, "third")
	require.False(t, next(t, q, got, "third").Redelivered)
}

func TestDurableSubscriptionsMarkWhatMayHaveBeenDeliveredBeforeACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	policy := driver.HistoryPolicy{Name: "all", Match: match}
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(t, err)
	open := func(r *relay.Relay) (driver.QueueReader, <-chan driver.Delivery) {
		got := make(chan driver.Delivery, 10)
		q, err := r.Driver().Histories.OpenDurable(t.Context(), driver.DurableSubscription{History: "all", Name: "d", Pattern: pattern}, func(d driver.Delivery) { got <- d })
		require.NoError(t, err)
		return q, got
	}
	r := embed(t, dir, policy)
	open(r)
	store(t, r, "/topic/a", driver.StoreOptions{History: "all"}, "first")
	r.Close()
	died(t, dir)
	r = embed(t, dir, policy)
	q, got := open(r)
	require.True(t, next(t, q, got, "first").Redelivered)
	store(t, r, "/topic/a", driver.StoreOptions{History: "all"}, "second")
	require.False(t, next(t, q, got, "second").Redelivered)
}

// TestDedupIDsOutliveRestarts has a sender repeat a message after it was consumed, and
// the broker was started again.
func TestDedupIDsOutliveRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, dir string){"clean": func(*testing.T, string) {}, "killed": died} {
		dir := t.TempDir()
		for _, o := range []driver.StoreOptions{{DedupID: "x"}, {DedupID: "x", Queue: driver.QueueOptions{MaxMessages: 1}}} {
			dest := "/queue/" + name + strconv.FormatInt(o.Queue.MaxMessages, 10)
			r := embed(t, dir)
			store(t, r, dest, o, "first")
			got := make(chan driver.Delivery, 10)
			q, err := r.Driver().Queues.OpenQueue(t.Context(), dest, o.Queue, func(d driver.Delivery) { got <- d })
			require.NoError(t, err)
			ack(t, q, next(t, q, got, "first"))
			r.Close()
			end(t, dir)

			r = embed(t, dir)
			store(t, r, dest, o, "repeated")
			require.NoError(t, r.Driver().Queues.StoreAll(t.Context(), []driver.StoreRequest{
				{Message: &driver.Message{Key: dest, Destination: dest, Body: []byte("repeated")}, Options: o},
				{Message: &driver.Message{Key: dest, Destination: dest, Body: []byte("other")}, Options: driver.StoreOptions{Queue: o.Queue}},
			}))
			got = make(chan driver.Delivery, 10)
			q, err = r.Driver().Queues.OpenQueue(t.Context(), dest, o.Queue, func(d driver.Delivery) { got <- d })
			require.NoError(t, err)
			ack(t, q, next(t, q, got, "other"))
			require.Empty(t, got)
			r.Close()
		}
	}
}
