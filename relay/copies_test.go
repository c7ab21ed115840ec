package relay

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// restorable is a backup of a history of 8 MB, and of a queue that is empty again.
func restorable(t *testing.T) (entries []driver.ArchiveEntry, data map[string][]byte) {
	t.Helper()
	from := newDeaf(t, 0)
	body := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	for range 128 {
		stored := make(chan error, 1)
		from.queues.Store(&driver.Message{Destination: "/topic/b", Key: "/topic/b", Body: body}, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
		require.NoError(t, <-stored)
	}
	consumer := from.consume("/queue/a")
	for n := range 5 {
		from.storeInQueue("/queue/a", strconv.Itoa(n), "")
		consumer.takes(strconv.Itoa(n), false)
	}
	return from.takeOut()
}

// ofKind returns the entry of a kind.
func ofKind(t *testing.T, entries []driver.ArchiveEntry, kind string) driver.ArchiveEntry {
	t.Helper()
	for _, e := range entries {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("there is no entry of the kind %s", kind)
	return driver.ArchiveEntry{}
}

// TestARestoreReturnsOnceAMajorityHasTheMessages: it is no restore yet while the others only know
// from the log that there are messages. Any node can be killed then.
func TestARestoreReturnsOnceAMajorityHasTheMessages(t *testing.T) {
	t.Parallel()
	entries, data := restorable(t)
	all := clusterOf(t, 3)
	for _, d := range all {
		d.queues.streams.settings.Replicas = 3
	}
	for _, e := range entries {
		require.NoError(t, all[0].Driver().Archive.Import(t.Context(), e, bytes.NewReader(data[e.Name])))
		found := make([]streamCopy, len(all))
		for i, d := range all {
			found[i] = d.link.server.copyOf(e.Name)
		}
		info, err := all[0].link.lookAt(t.Context(), e.Name)
		require.NoError(t, err)
		have := 0
		for _, f := range found {
			if f.Last == info.State.LastSeq && f.Messages == info.State.Msgs {
				have++
			}
		}
		require.GreaterOrEqual(t, have, 2, "%s: %v", e.Name, found)
	}
}

// hideFollowers has the node of a test not see what others than the leader of a stream have, until
// show is called. Asked has an element for each time that it asked.
func (d *deaf) hideFollowers() (asked chan struct{}, show func()) {
	asked = make(chan struct{}, 1000)
	var shown atomic.Bool
	c := d.archive.copies
	c.ask = func(ctx context.Context, stream string) []streamCopy {
		info, err := d.link.lookAt(ctx, stream)
		found := c.askNodes(ctx, stream)
		for i := range found {
			if !shown.Load() && (err != nil || found[i].Server != info.Cluster.Leader) {
				found[i] = streamCopy{Server: found[i].Server, Current: true}
			}
		}
		select {
		case asked <- struct{}{}:
		default:
		}
		return found
	}
	return asked, func() { shown.Store(true) }
}

// TestARestoreWaitsForServersThatHaveNoMessages although they are current by their logs.
func TestARestoreWaitsForServersThatHaveNoMessages(t *testing.T) {
	t.Parallel()
	entries, data := restorable(t)
	e := ofKind(t, entries, kindHistory)
	all := clusterOf(t, 3)
	asked, show := all[0].hideFollowers()
	restored := make(chan error, 1)
	go func() {
		restored <- all[0].Driver().Archive.Import(t.Context(), e, bytes.NewReader(data[e.Name]))
	}()
	for range 5 {
		select {
		case <-asked:
		case err := <-restored:
			t.Fatalf("the restore returned with %v, and one server has the messages", err)
		case <-time.After(3 * patience):
			t.Fatal("no node was asked")
		}
	}
	show()
	require.NoError(t, <-restored)
}

// TestARestoreSaysWhichServersHaveIt where no majority can be had, and the log says when there is one.
func TestARestoreSaysWhichServersHaveIt(t *testing.T) {
	t.Parallel()
	entries, data := restorable(t)
	e := ofKind(t, entries, kindHistory)
	all := clusterOf(t, 3)
	_, show := all[1].hideFollowers()
	show = sync.OnceFunc(show)
	t.Cleanup(show)
	all[1].archive.copies.within = 2 * time.Second
	err := all[1].Driver().Archive.Import(t.Context(), e, bytes.NewReader(data[e.Name]))
	require.ErrorIs(t, err, driver.ErrNotReplicated)
	info, infoErr := all[1].link.lookAt(t.Context(), e.Name)
	require.NoError(t, infoErr)
	require.ErrorContains(t, err, "of 3 nodes, only "+info.Cluster.Leader+" is known to have all of it")
	require.Equal(t, e.Messages, info.State.Msgs, "all is there")
	const says = "a majority of the servers has all of a stream"
	require.Zero(t, all[1].logged(says))
	show()
	require.Eventually(t, func() bool { return all[1].logged(says) == 1 }, 3*patience, 10*time.Millisecond)
}

// TestMoreReplicasAreSaidAndFollowed: a node that is stopped before may be the only one that has the
// messages.
func TestMoreReplicasAreSaidAndFollowed(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	all[0].storeInQueue("/queue/a", "1", "")
	all[1].queues.streams.settings.Replicas = 3
	require.NoError(t, all[1].queues.streams.ensure(t.Context(), queuePlace(all[1].link.prefix, "/queue/a", driver.QueueOptions{}), driver.QueueOptions{}))
	require.Equal(t, 1, all[1].logged("a stream gets more replicas"))
	require.Eventually(t, func() bool { return all[1].logged("a majority of the servers has all of a stream") == 1 }, 3*patience, 10*time.Millisecond)
	have := 0
	for _, d := range all {
		if d.link.server.copyOf("stompbox_queues").Messages == 1 {
			have++
		}
	}
	require.GreaterOrEqual(t, have, 2)
}

func TestWhichServersHaveAllOfAStream(t *testing.T) {
	t.Parallel()
	info := func(messages, last uint64, replicas ...*jetstream.PeerInfo) *jetstream.StreamInfo {
		return &jetstream.StreamInfo{
			Config:  jetstream.StreamConfig{Replicas: 3},
			State:   jetstream.StreamState{Msgs: messages, LastSeq: last},
			Cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas},
		}
	}
	current, behind := &jetstream.PeerInfo{Name: "b", Current: true}, &jetstream.PeerInfo{Name: "c", Current: true, Lag: 1}
	all := streamCopy{"a", true, 10, 10}
	for name, c := range map[string]struct {
		before, after *jetstream.StreamInfo
		found         []streamCopy
		have          []string
		heard         int
	}{
		"the leader alone":                   {info(10, 10), info(10, 10), []streamCopy{all, {"b", true, 0, 0}, {"c", true, 0, 0}}, []string{"a"}, 3},
		"one has the log alone":              {info(10, 10), info(10, 10), []streamCopy{all, {"b", false, 10, 10}}, []string{"a"}, 2},
		"one has a part":                     {info(10, 10), info(10, 10), []streamCopy{all, {"b", true, 9, 9}, {"c", true, 10, 9}}, []string{"a"}, 3},
		"one has all":                        {info(10, 10), info(10, 10), []streamCopy{all, {"b", true, 10, 10}}, []string{"a", "b"}, 2},
		"messages were removed meanwhile":    {info(10, 10), info(8, 10), []streamCopy{{"a", true, 10, 9}, {"b", true, 10, 9}}, []string{"a", "b"}, 2},
		"messages came meanwhile":            {info(10, 10), info(12, 12), []streamCopy{{"a", true, 12, 12}, {"b", true, 11, 11}}, []string{"a", "b"}, 2},
		"the node of the leader is silent":   {info(10, 10), info(10, 10), []streamCopy{{"b", true, 10, 10}}, []string{"a", "b"}, 2},
		"the leader is another, without all": {info(10, 10), info(0, 0), []streamCopy{{"b", true, 0, 0}, {"a", true, 0, 0}}, nil, 2},
		"others have nothing of it":          {info(10, 10, current, behind), info(10, 10, current, behind), []streamCopy{all, {"b", true, 9, 9}, {"d", false, 0, 0}}, []string{"a"}, 2},
		"servers are external":               {info(10, 10, current, behind), info(10, 10, current, behind), nil, []string{"a", "b"}, 3},
	} {
		s := spreadOf(10, c.before, c.after, c.found)
		require.Equal(t, c.have, s.have, name)
		require.Equal(t, c.heard, s.heard, name)
		require.Equal(t, 3, s.servers, name)
	}
}

// TestNoOtherNodeMakesAHistoryThatIsRestored: each node makes those that are missing soon after its
// start, and the server refuses the restored one at its end then.
func TestNoOtherNodeMakesAHistoryThatIsRestored(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	subjects := all[0].histories.streams.all["all"].prefix + ".>"
	all[0].archive.hold(t.Context(), all[0].histories.streams.all["all"])
	for _, d := range all[1:] {
		h := d.histories.streams.all["all"]
		require.NotZero(t, h.elsewhere.Load())
		h.elsewhere.Store(time.Now().Add(time.Hour).UnixNano()) // however slow this machine is
	}
	name, err := all[0].link.js.StreamNameBySubject(t.Context(), subjects)
	if err == nil {
		require.NoError(t, all[0].link.js.DeleteStream(t.Context(), name))
	}
	for _, d := range all {
		h := d.histories.streams.all["all"]
		h.reset()
		_, err := d.histories.streams.nameOf(t.Context(), h)
		require.ErrorIs(t, err, driver.ErrUnavailable)
	}
	_, err = all[0].link.js.StreamNameBySubject(t.Context(), subjects)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)

	all[0].histories.streams.all["all"].restoring.Store(false)
	name, err = all[0].histories.streams.nameOf(t.Context(), all[0].histories.streams.all["all"])
	require.NoError(t, err)
	found, err := all[1].histories.streams.nameOf(t.Context(), all[1].histories.streams.all["all"])
	require.NoError(t, err, "what is there is found")
	require.Equal(t, name, found)
}
