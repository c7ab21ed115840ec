package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// takeOut returns all that a relay keeps.
func (d *deaf) takeOut() (entries []driver.ArchiveEntry, data map[string][]byte) {
	d.t.Helper()
	entries, err := d.Driver().Archive.Contents(d.t.Context())
	require.NoError(d.t, err)
	data = make(map[string][]byte)
	for _, e := range entries {
		var b bytes.Buffer
		require.NoError(d.t, d.Driver().Archive.Export(d.t.Context(), e.Name, &b))
		data[e.Name] = b.Bytes()
	}
	return entries, data
}

func (d *deaf) storeInQueue(queue, body, dedupID string) {
	d.t.Helper()
	stored := make(chan error, 1)
	d.queues.Store(&driver.Message{Key: queue, Destination: queue, Body: []byte(body)}, driver.StoreOptions{DedupID: dedupID}, func(err error) { stored <- err })
	require.NoError(d.t, <-stored)
}

// consumer reads a queue or a durable subscription.
type testConsumer struct {
	driver.QueueReader
	t   *testing.T
	got chan driver.Delivery
}

func (d *deaf) consume(queue string) *testConsumer {
	d.t.Helper()
	c := &testConsumer{t: d.t, got: make(chan driver.Delivery, 100)}
	var err error
	c.QueueReader, err = d.queues.OpenQueue(d.t.Context(), queue, driver.QueueOptions{}, func(m driver.Delivery) { c.got <- m })
	require.NoError(d.t, err)
	return c
}

func (d *deaf) openDurable() *testConsumer {
	d.t.Helper()
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(d.t, err)
	c := &testConsumer{t: d.t, got: make(chan driver.Delivery, 100)}
	c.QueueReader, err = d.histories.OpenDurable(d.t.Context(), driver.DurableSubscription{History: "all", Name: "alice", Pattern: pattern}, func(m driver.Delivery) { c.got <- m })
	require.NoError(d.t, err)
	return c
}

// takes wants the next message, acknowledges it, and returns it.
func (c *testConsumer) takes(body string, redelivered bool) {
	c.t.Helper()
	c.Pull(1)
	select {
	case d := <-c.got:
		require.Equal(c.t, body, string(d.Message.Body))
		require.Equal(c.t, redelivered, d.Redelivered, body)
		acked := make(chan error, 1)
		c.Ack(d, func(err error) { acked <- err })
		require.NoError(c.t, <-acked)
	case <-time.After(patience):
		c.t.Fatalf("%s did not come", body)
	}
}

// TestARestoredStoreHasWhatWasTakenOut moves what one server keeps to another.
func TestARestoredStoreHasWhatWasTakenOut(t *testing.T) {
	t.Parallel()
	from, to := newDeaf(t, 0), newDeaf(t, 0)
	durable := from.openDurable()
	for body := range 4 {
		from.store(body)
	}
	at := from.gets(0, false).Position
	durable.takes("0", false)
	consumer := from.consume("/queue/a")
	for _, body := range []string{"acknowledged", "held", "waiting"} {
		from.storeInQueue("/queue/a", body, "id of "+body)
	}
	consumer.takes("acknowledged", false)
	consumer.Pull(1)
	<-consumer.got
	end := time.Now().Add(time.Hour)
	for _, user := range []string{"ann", "bob", "cyd"} {
		require.NoError(t, from.bans.PutBan(t.Context(), "user "+user, []byte(`{"user":"`+user+`"}`), end))
	}
	kv, err := from.bans.open(t.Context())
	require.NoError(t, err)
	sum := sha256.Sum256([]byte("user cyd"))
	require.NoError(t, kv.Purge(t.Context(), hex.EncodeToString(sum[:])), "as one that is over is removed")
	entries, data := from.takeOut()
	require.Len(t, entries, 4, "bans, queues, a history, and dedup ids")
	from.store(5)                                         // which the backup does not have
	from.storeInQueue("/queue/a", "later", "id of later") // nor that

	require.NoError(t, to.bans.PutBan(t.Context(), "user bob", []byte(`{"user":"bob","lifted":true}`), end))
	var bans sync.Map // those that the broker gets; it may get one again
	require.NoError(t, to.bans.WatchBans(func(ban []byte) { bans.Store(string(ban), true) }, func() {}))
	require.NoError(t, to.Driver().Archive.CheckImport(t.Context(), entries))
	for _, e := range entries {
		require.NoError(t, to.Driver().Archive.Import(t.Context(), e, bytes.NewReader(data[e.Name])))
	}
	known := map[string]bool{}
	bans.Range(func(ban, _ any) bool { known[ban.(string)] = true; return true })
	require.Equal(t, map[string]bool{`{"user":"bob","lifted":true}`: true, `{"user":"ann"}`: true}, known, "the ban of bob was lifted here")

	// The history begins an epoch: the numbers after the backup are given again.
	to.store(4)
	var bodies []string
	result, err := to.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: to.i.pattern, After: at}, func(m *driver.Message) error {
		require.Equal(t, len(bodies) == 0, m.Gap)
		bodies = append(bodies, string(m.Body))
		return nil
	})
	require.NoError(t, err)
	require.NotEqual(t, at.Epoch, result.UpTo.Epoch)
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, bodies)
	require.Equal(t, "4", string(receive(t, to.got).Body))
	require.Empty(t, to.got)

	again := to.openDurable()
	for body := range 3 {
		again.takes(strconv.Itoa(body+1), true)
	}
	again.takes("4", false)

	// An id of what was consumed, and one of what waits, are known.
	to.storeInQueue("/queue/a", "repeated 1", "id of acknowledged")
	to.storeInQueue("/queue/a", "repeated 2", "id of held")
	to.storeInQueue("/queue/a", "new", "id of new")
	consumer = to.consume("/queue/a")
	consumer.takes("held", true)
	consumer.takes("waiting", true)
	consumer.takes("new", false)

	require.ErrorIs(t, to.Driver().Archive.CheckImport(t.Context(), entries), driver.ErrNotEmpty)
	for _, e := range entries {
		if e.Kind == kindHistory {
			require.ErrorIs(t, to.Driver().Archive.Import(t.Context(), e, bytes.NewReader(data[e.Name])), driver.ErrNotEmpty)
		}
	}
}

// TestARestoredHistoryHasWhatWasClearedSince, and those who come back to it miss nothing.
func TestARestoredHistoryHasWhatWasClearedSince(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	for body := range 4 {
		d.store(body)
	}
	entries, data := d.takeOut()
	require.Len(t, entries, 1)
	n, err := historyAdmin{d.histories}.ClearHistory(t.Context(), "all", "/topic/a")
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	require.NoError(t, d.Driver().Archive.Import(t.Context(), entries[0], bytes.NewReader(data[entries[0].Name])))
	replay := func(after driver.StreamPosition) (bodies []string, gaps int, at driver.StreamPosition) {
		_, err := d.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: d.i.pattern, After: after, Last: 100}, func(m *driver.Message) error {
			if at = m.Position; m.Gap {
				gaps++
			}
			bodies = append(bodies, string(m.Body))
			return nil
		})
		require.NoError(t, err)
		return bodies, gaps, at
	}
	bodies, gaps, at := replay(driver.StreamPosition{})
	require.Equal(t, []string{"0", "1", "2", "3"}, bodies)
	require.Zero(t, gaps)
	bodies, gaps, _ = replay(driver.StreamPosition{Epoch: at.Epoch, Seq: 1})
	require.Equal(t, []string{"1", "2", "3"}, bodies)
	require.Zero(t, gaps)
}

// TestABackupOfAClusterHasThePlacesOfDurableSubscriptions: also of those that have had no
// message yet, such as after a restore, for which a server of a cluster says 0.
func TestABackupOfAClusterHasThePlacesOfDurableSubscriptions(t *testing.T) {
	t.Parallel()
	from, to := clusterOf(t, 3), newDeaf(t, 0)
	for body := range 3 {
		from[0].store(body)
	}
	from[0].openDurable()
	entries, data := from[1].takeOut()
	require.Len(t, entries, 1)
	require.Equal(t, uint64(4), entries[0].Durables[0].Next)
	require.NoError(t, to.Driver().Archive.Import(t.Context(), entries[0], bytes.NewReader(data[entries[0].Name])))
	to.store(3)
	to.openDurable().takes("3", false)
}

// TestBansThatAreNoneAreRefused: a line of a backup has to be of a ban.
func TestBansThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	to := newDeaf(t, 0)
	e := driver.ArchiveEntry{Name: bansStream(to.link.prefix), Kind: kindBans, Config: []byte("{}")}
	for name, text := range map[string]string{
		"no JSON": "ban", "no ban": `{"key":"a","kept":{}}`, "a key of many": `{"key":">","kept":{"until":"2030-01-01T00:00:00Z","ban":{}}}`,
	} {
		require.ErrorIs(t, to.Driver().Archive.Import(t.Context(), e, strings.NewReader(text)), driver.ErrArchive, name)
	}
	long := strings.NewReader(strings.Repeat("x", maxArchivedBan+1))
	require.Error(t, to.Driver().Archive.Import(t.Context(), e, long))
}

// TestWhatIsNoBackupIsRefused: what comes with a request is not trusted.
func TestWhatIsNoBackupIsRefused(t *testing.T) {
	t.Parallel()
	from, to := newDeaf(t, 0), newDeaf(t, 0)
	from.store(0)
	entries, data := from.takeOut()
	require.Len(t, entries, 1)
	e := entries[0]
	for name, change := range map[string]func(e *driver.ArchiveEntry){
		"a stream of another program": func(e *driver.ArchiveEntry) { e.Name = "orders" },
		"a history that is not here": func(e *driver.ArchiveEntry) {
			e.Name = "stompbox_history_other_x"
			e.Config = bytes.ReplaceAll(e.Config, []byte(entries[0].Name), []byte(e.Name))
		},
		"another kind":     func(e *driver.ArchiveEntry) { e.Kind = kindQueues },
		"no configuration": func(e *driver.ArchiveEntry) { e.Config = []byte("[]") },
	} {
		changed := e
		change(&changed)
		require.ErrorIs(t, to.Driver().Archive.CheckImport(t.Context(), []driver.ArchiveEntry{changed}), driver.ErrArchive, name)
		require.ErrorIs(t, to.Driver().Archive.Import(t.Context(), changed, bytes.NewReader(data[e.Name])), driver.ErrArchive, name)
	}
	half := data[e.Name][:len(data[e.Name])/2]
	require.Error(t, to.Driver().Archive.Import(t.Context(), e, bytes.NewReader(half)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, to.Driver().Archive.Import(ctx, e, bytes.NewReader(data[e.Name])), "nothing is left of the attempts")
}

// TestRestoredBansHoldAtOnce: the broker that restores knows them when that returns, though it had no
// bucket before. Other nodes look for the bucket.
func TestRestoredBansHoldAtOnce(t *testing.T) {
	t.Parallel()
	from, to := newDeaf(t, 0), newDeaf(t, 0)
	require.NoError(t, from.bans.PutBan(t.Context(), "user ann", []byte(`{"user":"ann"}`), time.Now().Add(time.Hour)))
	entries, data := from.takeOut()
	require.Len(t, entries, 1)
	other, err := Dial(Options{URL: to.ClientURL()})
	require.NoError(t, err)
	defer other.Close()
	for len(other.bans.missed) > 0 {
		<-other.bans.missed
	}
	known := make(chan string, 100)
	require.NoError(t, to.bans.WatchBans(func(ban []byte) { known <- string(ban) }, func() {}))
	require.NoError(t, to.Driver().Archive.Import(t.Context(), entries[0], bytes.NewReader(data[entries[0].Name])))
	require.NotEmpty(t, known)
	require.JSONEq(t, `{"user":"ann"}`, <-known)
	require.Eventually(t, func() bool { return len(other.bans.missed) == 1 }, patience, time.Millisecond)
}
