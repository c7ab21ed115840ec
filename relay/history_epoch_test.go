package relay

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

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
