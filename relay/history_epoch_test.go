package relay

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/test/local"
)

// keeper is a relay with a history in a folder that outlives it.
type keeper struct {
	*Relay
	t   *testing.T
	log local.Log
}

func openKeeper(t *testing.T, dir string) *keeper {
	t.Helper()
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	k := &keeper{t: t}
	k.Relay, err = Embed(EmbeddedOptions{DataDir: dir, Port: -1}, Options{
		Logger: slog.New(slog.NewTextHandler(&k.log, nil)), Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: match}}},
	})
	require.NoError(t, err)
	return k
}

func (k *keeper) store(bodies ...string) {
	k.t.Helper()
	for _, body := range bodies {
		stored := make(chan error, 1)
		m := &driver.Message{Destination: "/topic/a", Key: "/topic/a", Timestamp: time.Now().UnixMilli(), Body: []byte(body)}
		k.queues.Store(m, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
		require.NoError(k.t, <-stored)
	}
}

func (k *keeper) replay(after driver.StreamPosition) (bodies []string, result driver.ReplayResult) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(k.t, err)
	request := driver.ReplayRequest{History: "all", Pattern: pattern, After: after, Last: 100}
	gap := false
	result, err = k.histories.Replay(ctx, request, func(m *driver.Message) error {
		require.Equal(k.t, m.Position.String(), m.ID)
		gap = gap || m.Gap
		bodies = append(bodies, string(m.Body)+" "+strconv.FormatUint(m.Position.Seq, 10))
		return nil
	})
	require.NoError(k.t, err)
	result.Incomplete = result.Incomplete || gap
	return bodies, result
}

// TestNoPlaceIsGivenTwiceAfterLostWrites restarts on a disk that has forgotten what was
// confirmed.
func TestNoPlaceIsGivenTwiceAfterLostWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stored, old := filepath.Join(dir, "nats", "jetstream"), filepath.Join(t.TempDir(), "old")
	k := openKeeper(t, dir)
	k.store("1", "2")
	k.Close()
	require.NoError(t, local.CopyFiles(old, stored))
	k = openKeeper(t, dir)
	k.store("3", "4")
	_, before := k.replay(driver.StreamPosition{})
	require.EqualValues(t, 4, before.UpTo.Seq)
	k.Close()

	k = openKeeper(t, dir)
	_, same := k.replay(driver.StreamPosition{})
	require.Equal(t, before.UpTo, same.UpTo, "nothing was lost")
	k.Close()

	require.NoError(t, os.RemoveAll(stored))
	require.NoError(t, local.CopyFiles(stored, old))
	k = openKeeper(t, dir)
	k.store("5", "6", "7")
	bodies, after := k.replay(before.UpTo)
	require.NotEqual(t, before.UpTo.Epoch, after.UpTo.Epoch)
	require.True(t, after.Incomplete)
	require.Equal(t, []string{"1 1", "2 2", "5 3", "6 4", "7 5"}, bodies)
	require.Contains(t, k.log.String(), "a history lost messages that were confirmed")

	live := make(chan *driver.Message, 1)
	end, err := k.bus.Subscribe("/topic/a", func(m *driver.Message) { live <- m })
	require.NoError(t, err)
	k.store("8")
	require.Equal(t, driver.StreamPosition{Epoch: after.UpTo.Epoch, Seq: 6}, receive(t, live).Position)
	end()
	k.Close()

	k = openKeeper(t, dir)
	bodies, again := k.replay(after.UpTo)
	require.Equal(t, []string{"8 6"}, bodies)
	require.False(t, again.Incomplete)
	require.Equal(t, after.UpTo.Epoch, again.UpTo.Epoch, "the epoch stays")
	k.Close()
}

// TestAMachineThatWentDownBeginsAnEpoch: what was not synced may be lost, and with it the
// note of what was confirmed.
func TestAMachineThatWentDownBeginsAnEpoch(t *testing.T) {
	t.Parallel()
	if bootID() == "" {
		t.Skip("the start of this machine has no name")
	}
	dir := t.TempDir()
	k := openKeeper(t, dir)
	k.store("1")
	_, before := k.replay(driver.StreamPosition{})
	k.Close()
	running := filepath.Join(dir, "nats", runningFile)
	for _, id := range []string{bootID(), "another"} {
		require.NoError(t, os.WriteFile(running, []byte(id), 0o600))
		k = openKeeper(t, dir)
		_, after := k.replay(driver.StreamPosition{})
		require.Equal(t, id == bootID(), before.UpTo == after.UpTo, id)
		k.Close()
	}
}

// verify looks at the history's stream as after a restart, and returns its epoch.
func (r *Relay) verify(ctx context.Context, t *testing.T) (epoch string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	h := r.histories.streams.all["all"]
	h.mu.Lock()
	defer h.mu.Unlock()
	name := h.stream
	require.NotEmpty(t, name)
	err = r.histories.streams.verify(ctx, h, name)
	return h.epochIn(name), err
}

// confirm has a node note that the history's messages were confirmed up to a sequence.
func (r *Relay) confirm(t *testing.T, seq uint64) {
	t.Helper()
	name, err := r.histories.streams.nameOf(t.Context(), r.histories.streams.all["all"])
	require.NoError(t, err)
	r.histories.streams.confirmed.note([]byte(`{"stream":"` + name + `","seq":` + strconv.FormatUint(seq, 10) + `}`))
}

// TestAServerThatIsCutOffBeginsNoEpoch: its stream has no leader that it knows, so it answers for
// that itself, and does not have what others were the first to store.
func TestAServerThatIsCutOffBeginsNoEpoch(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	d := all[0]
	d.store(0)
	before := d.gets(0, false).Position.Epoch
	d.confirm(t, 100)
	d.link.server.data.started = time.Now().Add(-time.Hour)
	for _, other := range all[1:] {
		other.close()
	}
	name, err := d.histories.streams.nameOf(t.Context(), d.histories.streams.all["all"])
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := d.link.js.Stream(ctx, name)
		return err == nil && stream.CachedInfo().Cluster.Leader == ""
	}, 3*patience, 100*time.Millisecond, "it answers for the stream")
	for range 3 {
		epoch, err := d.verify(t.Context(), t)
		require.ErrorIs(t, err, driver.ErrUnavailable)
		require.Equal(t, before, epoch)
	}
	require.Zero(t, d.logged("begins a new epoch"))
}

// TestAnEpochBeginsOnceTheStreamHasIt: until then messages are of the one before. What fails is
// tried again, and is no other epoch each time.
func TestAnEpochBeginsOnceTheStreamHasIt(t *testing.T) {
	t.Parallel()
	k := openKeeper(t, t.TempDir())
	defer k.Close()
	k.store("1")
	_, before := k.replay(driver.StreamPosition{})
	k.confirm(t, 100)
	streams := k.histories.streams
	streams.settings.Replicas = 3 // which this server refuses
	h := streams.all["all"]
	info, err := k.link.lookAt(t.Context(), h.stream)
	require.NoError(t, err)
	for range 3 {
		epoch, err := k.verify(t.Context(), t)
		require.Error(t, err)
		require.Equal(t, before.UpTo.Epoch, epoch)
		h.mu.Lock()
		tried := h.beginning
		require.Error(t, streams.beginEpochLocked(t.Context(), h, info, "a test"))
		if tried != nil {
			require.Equal(t, *tried, *h.beginning)
		}
		require.Equal(t, before.UpTo.Epoch, h.epochIn(h.stream))
		h.mu.Unlock()
	}
	want := h.beginning.epoch
	streams.settings.Replicas = 1
	epoch, err := k.verify(t.Context(), t)
	require.NoError(t, err)
	require.Equal(t, want, epoch)
	_, after := k.replay(driver.StreamPosition{})
	require.Equal(t, want, after.UpTo.Epoch)
	info, err = k.link.lookAt(t.Context(), h.stream)
	require.NoError(t, err)
	require.Equal(t, want, info.Config.Metadata[metadataEpoch])
}

// TestWhatIsNotThereYetIsNotLost: a server of a cluster waits for as long as others may still
// come, from when it was last cut off, and not from its start.
func TestWhatIsNotThereYetIsNotLost(t *testing.T) {
	t.Parallel()
	k := openKeeper(t, t.TempDir())
	defer k.Close()
	k.store("1")
	k.confirm(t, 100)
	h := k.histories.streams.all["all"]
	ofCluster := &link{server: &Server{clustered: true, data: &dataDir{started: time.Now().Add(-time.Hour)}}}
	streams := &historyStreams{link: ofCluster, confirmed: k.histories.streams.confirmed}
	states := &ofCluster.states
	wait := func() {
		t.Helper()
		_, err := streams.lostConfirmed(h, h.stream, 1)
		require.ErrorIs(t, err, driver.ErrUnavailable)
	}
	for _, e := range []linkEvent{jetStreamAnswered, routesLost, routesBack, jetStreamAnswered} {
		states.apply(e)
		wait()
	}
	states.since = time.Now().Add(-staleWait)
	lost, err := streams.lostConfirmed(h, h.stream, 1)
	require.NoError(t, err)
	require.NotEmpty(t, lost)
	for range maxMisses {
		states.apply(jetStreamMissed)
	}
	wait()
	states.apply(jetStreamAnswered)
	wait()
	lost, err = streams.lostConfirmed(h, h.stream, 100)
	require.NoError(t, err)
	require.Empty(t, lost, "what is there is not waited for")
}

// TestAnEpochDoesNotComeBack: a server that was cut off when it began names the one before.
func TestAnEpochDoesNotComeBack(t *testing.T) {
	t.Parallel()
	h := &history{base: "a"}
	learn := func(stream, epoch string) string {
		h.learnEpoch(&jetstream.StreamConfig{Name: stream, Metadata: map[string]string{metadataEpoch: epoch}})
		return h.epochIn(stream)
	}
	first := newEpoch("")
	second := newEpoch(first)
	third := newEpoch(second)
	require.Equal(t, "x", learn("a_x", ""))
	require.Equal(t, second, learn("a_x", second))
	require.Equal(t, second, learn("a_x", first))
	require.Equal(t, second, learn("a_x", ""))
	require.Equal(t, third, learn("a_x", third))
	require.Equal(t, first, learn("a_y", first), "another stream")
	require.True(t, isLater(newEpoch("zzzzzzzzz"), "zzzzzzzzz"), "the clock of another node may be ahead")
}

func TestAnswersOfJetStreamAreRead(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]uint64{
		`{"stream":"a","seq":17}`: 17, `{"stream":"a", "seq":17,"duplicate": true}`: 17, `{"stream":"a","domain":"x","seq": 9}`: 9,
		`{"error":{}}`: 0, ``: 0, `{"stream":"a"}`: 0, `{"stream":"a","seq":-1}`: 0,
	} {
		_, seq := placeConfirmed([]byte(answer))
		require.Equal(t, want, seq, answer)
	}
}
