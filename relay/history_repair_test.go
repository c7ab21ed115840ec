package relay

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/test/local"
)

const patience = 20 * time.Second

// alone returns a relay with a server of its own, and a context that ends when a test has waited
// for too long.
func alone(t *testing.T) (*Relay, context.Context) {
	t.Helper()
	r, err := Embed(EmbeddedOptions{DataDir: t.TempDir()}, Options{})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return r, ctx
}

// deaf is a relay with a history whose one interest can stop hearing what is live.
type deaf struct {
	*Relay
	t   *testing.T
	i   *interest
	got chan *driver.Message

	said  local.Log
	close func() // once
}

func (d *deaf) logged(text string) int { return strings.Count(d.said.String(), text) }

func newDeaf(t *testing.T, most int64) *deaf {
	t.Helper()
	return joinDeaf(t, most, 1, nil)
}

func joinDeaf(t *testing.T, most int64, replicas int, cluster *ClusterOptions) *deaf {
	t.Helper()
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	d := &deaf{t: t, got: make(chan *driver.Message, 100)}
	d.Relay, err = Embed(EmbeddedOptions{DataDir: t.TempDir(), Port: -1, Cluster: cluster}, Options{
		Logger:    slog.New(slog.NewTextHandler(&d.said, nil)),
		Histories: HistorySettings{Replicas: replicas, Policies: []driver.HistoryPolicy{{Name: "all", Match: match, MaxMessages: most}}},
	})
	require.NoError(t, err)
	d.close = sync.OnceFunc(d.Close)
	t.Cleanup(d.close)
	_, err = d.bus.Subscribe("/topic/a", func(m *driver.Message) { d.got <- m })
	require.NoError(t, err)
	d.i = d.bus.interests["/topic/a"]
	return d
}

func (d *deaf) stopHearing() {
	d.bus.workers.subs.Range(func(sub, i any) bool {
		if i == d.i {
			d.bus.workers.unsubscribe(sub.(*nats.Subscription))
		}
		return true
	})
}

func (d *deaf) store(body int) {
	d.t.Helper()
	stored := make(chan error, 1)
	m := &driver.Message{ID: strconv.Itoa(body), Destination: "/topic/a", Key: "/topic/a", Timestamp: time.Now().UnixMilli(), Body: []byte(strconv.Itoa(body))}
	d.queues.Store(m, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
	require.NoError(d.t, <-stored)
}

// gets wants a message, and that it says whether others are missing.
func (d *deaf) gets(body int, gap bool) *driver.Message {
	d.t.Helper()
	select {
	case m := <-d.got:
		require.Equal(d.t, strconv.Itoa(body), string(m.Body))
		require.Equal(d.t, gap, m.Gap, "message %d", body)
		return m
	case <-time.After(patience):
		d.t.Fatalf("%d did not come", body)
		return nil
	}
}

// healed has the janitor look for what was missed, and returns when it has.
func (d *deaf) healed() {
	d.t.Helper()
	const says = "looked for messages that were missed"
	n := d.logged(says)
	d.histories.scheduleRepair()
	require.Eventually(d.t, func() bool { return d.logged(says) > n }, patience, 10*time.Millisecond)
}

// TestWhatIsGoneBeforeItIsFetchedIsTold misses more than the history keeps.
func TestWhatIsGoneBeforeItIsFetchedIsTold(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 5)
	d.store(0)
	d.gets(0, false)
	d.healed() // it is noted that all has arrived
	d.stopHearing()
	d.store(1)
	d.healed()
	d.gets(1, false)
	for body := range 20 {
		d.store(body + 2)
	}
	d.healed()
	d.gets(17, true)
	for body := range 4 {
		d.gets(body+18, false)
	}
	require.Empty(t, d.got)
}

// TestAGapIsFilledOnceTheHistoryAnswers has a message come after a gap while no store
// answers for the history, as on a node whose links are just back.
func TestAGapIsFilledOnceTheHistoryAnswers(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(0)
	first := d.gets(0, false)
	d.stopHearing()
	for body := range 3 {
		d.store(body + 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := d.histories.streams.nameOf(ctx, d.histories.streams.all["all"])
	require.NoError(t, err)
	config := *d.link.server.running().JetStreamConfig()
	require.NoError(t, d.link.server.running().DisableJetStream())
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		at := func(body int) string { return strconv.FormatUint(first.Position.Seq+uint64(body), 10) }
		d.i.arrived(&nats.Msg{Subject: "stompbox.topic.a", Data: []byte("3"), Header: nats.Header{
			"Nats-Stream": {stream}, "Nats-Subject": {d.histories.streams.all["all"].prefix + ".topic.a"}, "Nats-Sequence": {at(3)}, "Nats-Last-Sequence": {at(2)},
		}})
	}()
	time.Sleep(2 * backfillRetry) // it has asked in vain by then; where not, the test says less
	require.NoError(t, d.link.server.running().EnableJetStream(&server.JetStreamConfig{StoreDir: filepath.Dir(config.StoreDir), MaxMemory: config.MaxMemory, MaxStore: config.MaxStore}))
	for body := range 3 {
		d.gets(body+1, false)
	}
	<-arrived
}

// clusterOf joins servers in this process, and waits until they can keep something.
func clusterOf(t *testing.T, count int) []*deaf {
	t.Helper()
	names := make([]string, count)
	for i := range names {
		names[i] = "n" + strconv.Itoa(i)
	}
	all := startCluster(t, names...)
	for _, d := range all {
		require.Eventually(t, d.Ready, 3*patience, 10*time.Millisecond)
	}
	return all
}

// startCluster starts servers that are each other's peers.
func startCluster(t *testing.T, names ...string) []*deaf {
	t.Helper()
	peers := make([]string, len(names))
	for i := range peers {
		var err error
		peers[i], err = local.Address()
		require.NoError(t, err)
	}
	all := make([]*deaf, len(names))
	for i, address := range peers {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		all[i] = joinDeaf(t, 0, len(names), &ClusterOptions{Name: "test", Node: names[i], Host: host, Port: number, Peers: peers})
	}
	return all
}

// TestANewLeaderHasNodesLook: what is stored while the leader changes may be published
// to no subscriber, and comes all the same.
func TestANewLeaderHasNodesLook(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	all[0].store(0)
	for _, d := range all {
		d.gets(0, false)
	}
	d := all[1]
	d.healed() // and the leader is noted
	d.stopHearing()
	all[0].store(1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := d.histories.streams.nameOf(ctx, d.histories.streams.all["all"])
	require.NoError(t, err)
	answer, err := d.link.conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"success":true`)
	d.gets(1, false)
}

// TestWithoutAMajorityNothingWaits takes two servers of four away.
func TestWithoutAMajorityNothingWaits(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 4)
	all[2].close()
	all[3].close()
	require.Eventually(t, func() bool { return !all[0].Ready() }, 3*patience, 100*time.Millisecond)
	require.Eventually(t, func() bool { return all[0].link.state() == unavailable }, 3*patience, 100*time.Millisecond)
	refused := make(chan error, 1)
	all[0].queues.Store(&driver.Message{Destination: "/topic/a", Key: "/topic/a"}, driver.StoreOptions{History: "all"}, func(err error) { refused <- err })
	require.ErrorIs(t, <-refused, errNoMajority)
}
