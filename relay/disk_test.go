package relay

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/test/local"
)

// fullable is a relay whose disk can be filled.
type fullable struct {
	*Relay
	t    *testing.T
	free atomic.Int64
	said local.Log
	got  chan driver.Delivery
	q    driver.QueueReader
}

func newFullable(t *testing.T) *fullable {
	t.Helper()
	f := &fullable{t: t, got: make(chan driver.Delivery, 10)}
	f.free.Store(16 << 20)
	var err error
	f.Relay, err = Embed(EmbeddedOptions{DataDir: t.TempDir(), free: func(string) (uint64, uint64, error) {
		return uint64(f.free.Load()), 64 << 20, nil
	}}, Options{Logger: slog.New(slog.NewTextHandler(&f.said, nil))})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

func (f *fullable) store(body string) error {
	stored := make(chan error, 1)
	f.queues.Store(&driver.Message{Key: "/queue/a", Destination: "/queue/a", Body: []byte(body)}, driver.StoreOptions{}, func(err error) { stored <- err })
	return <-stored
}

func (f *fullable) open() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	var err error
	f.q, err = f.queues.OpenQueue(ctx, "/queue/a", driver.QueueOptions{}, func(d driver.Delivery) { f.got <- d })
	require.NoError(f.t, err)
}

func (f *fullable) consumes(body string) driver.Delivery {
	f.t.Helper()
	f.q.Pull(1)
	select {
	case d := <-f.got:
		require.Equal(f.t, body, string(d.Message.Body))
		acked := make(chan error, 1)
		f.q.Ack(d, func(err error) { acked <- err })
		require.NoError(f.t, <-acked)
		return d
	case <-time.After(patience):
		f.t.Fatalf("%s did not come", body)
		return driver.Delivery{}
	}
}

func (f *fullable) eventually(condition func() bool) {
	f.t.Helper()
	require.Eventually(f.t, condition, patience, 10*time.Millisecond)
}

// TestAFullDiskRefusesAndHeals: what is there can be consumed, nothing more is taken,
// the node is not ready, and all is well again once there is room.
func TestAFullDiskRefusesAndHeals(t *testing.T) {
	t.Parallel()
	f := newFullable(t)
	reserve := filepath.Join(f.link.disk.data.path, "nats", "reserve")
	info, err := os.Stat(reserve)
	require.NoError(t, err)
	require.EqualValues(t, 4<<20, info.Size())
	require.NoError(t, f.store("first"))

	f.free.Store(1 << 20)
	f.eventually(func() bool { return !f.Ready() })
	require.ErrorIs(t, f.store("refused"), errDiskFull)
	require.ErrorIs(t, f.store("refused"), driver.ErrUnavailable)
	require.NoFileExists(t, reserve)
	f.open() // which makes a consumer
	f.consumes("first")

	f.free.Store(16 << 20)
	f.eventually(f.Ready)
	require.NoError(t, f.store("second"))
	f.consumes("second")
	f.eventually(func() bool { _, err := os.Stat(reserve); return err == nil })
}

// TestJetStreamStartsAgainAfterAFailedWrite, after which it takes nothing any more.
func TestJetStreamStartsAgainAfterAFailedWrite(t *testing.T) {
	t.Parallel()
	f := newFullable(t)
	require.NoError(t, f.store("first"))
	f.open()
	f.consumes("first")
	require.NoError(t, f.store("second"))
	jetStream := f.link.server.running().JetStreamConfig()
	f.link.server.failed <- struct{}{}
	// Until it is started again it takes messages, and confirms no acknowledgement.
	f.eventually(func() bool {
		return strings.Contains(f.said.String(), "JetStream was started again after a failed write")
	})
	require.Positive(t, f.link.server.data.crashed.Load())
	f.eventually(func() bool {
		err := f.store("third")
		require.True(t, err == nil || errors.Is(err, driver.ErrUnavailable), "%v", err)
		return err == nil
	})
	require.Equal(t, jetStream, f.link.server.running().JetStreamConfig())
	require.True(t, f.consumes("second").Redelivered)
	f.consumes("third")
	f.eventually(f.Ready)
}

// TestAServerOfAClusterStartsAgainAfterAFailedWrite: its subscribers miss nothing of what
// the others store meanwhile, and it takes part again.
func TestAServerOfAClusterStartsAgainAfterAFailedWrite(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	failing, other := all[0], all[1]
	other.store(0)
	failing.gets(0, false)
	was := failing.link.server.running()
	failing.link.server.failed <- struct{}{}
	require.Eventually(t, func() bool { return failing.link.server.running() != was }, patience, time.Millisecond)
	stores := func(d *deaf, body int) {
		t.Helper()
		require.Eventually(t, func() bool {
			stored := make(chan error, 1)
			m := &driver.Message{Destination: "/topic/a", Key: "/topic/a", Timestamp: time.Now().UnixMilli(), Body: []byte(strconv.Itoa(body))}
			d.queues.Store(m, driver.StoreOptions{History: "all", DedupID: m.Destination + string(m.Body)}, func(err error) { stored <- err })
			return <-stored == nil
		}, 3*patience, 50*time.Millisecond)
	}
	stores(other, 1)
	failing.gets(1, false)
	stores(failing, 2)
	other.gets(0, false)
	other.gets(1, false)
	other.gets(2, false)
	require.Eventually(t, failing.Ready, 3*patience, 10*time.Millisecond)
	require.Equal(t, 1, failing.logged("JetStream was started again after a failed write"))
	require.Positive(t, failing.link.server.data.crashed.Load())
}

// TestWhatWasStartedOnAFullDiskTakesMessagesOnceThereIsRoom: what JetStream may keep is not for
// good three quarters of the room that there was at its start.
func TestWhatWasStartedOnAFullDiskTakesMessagesOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pattern, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	var free atomic.Int64
	free.Store(1 << 30)
	f := &fullable{t: t, got: make(chan driver.Delivery, 10)}
	start := func() {
		t.Helper()
		f.Relay, err = Embed(EmbeddedOptions{DataDir: dir, free: func(string) (uint64, uint64, error) {
			return uint64(free.Load()), 64 << 20, nil
		}}, Options{Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: pattern}}}})
		require.NoError(t, err)
		t.Cleanup(f.Close)
	}
	keep := func() error {
		stored := make(chan error, 1)
		f.queues.Store(&driver.Message{Key: "/topic/a", Destination: "/topic/a", Body: []byte("kept")}, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
		return <-stored
	}
	replays := func() (n int) {
		t.Helper()
		request := driver.ReplayRequest{History: "all", Pattern: pattern, Last: 10}
		_, err := f.histories.Replay(t.Context(), request, func(*driver.Message) error { n++; return nil })
		require.NoError(t, err)
		return n
	}
	start()
	require.NoError(t, f.store("first"))
	require.NoError(t, keep())
	require.NoError(t, f.Driver().Bans.PutBan(t.Context(), "mallory", []byte("{}"), time.Now().Add(time.Hour))) // which reserves room
	f.Close()

	free.Store(1 << 20)
	start()
	f.eventually(func() bool { return !f.Ready() })
	require.ErrorIs(t, f.store("refused"), errDiskFull)
	f.open()
	f.consumes("first")
	require.Equal(t, 1, replays())

	free.Store(1 << 30)
	f.eventually(f.Ready)
	require.NoError(t, keep())
	require.Equal(t, 2, replays())
	require.GreaterOrEqual(t, f.link.server.running().JetStreamConfig().MaxStore, int64(3<<28))

	free.Store(4 << 30)
	require.NoError(t, f.link.server.grow())
	require.GreaterOrEqual(t, f.link.server.running().JetStreamConfig().MaxStore, int64(3<<30))
	require.NoError(t, f.link.server.restartJetStream())
	require.GreaterOrEqual(t, f.link.server.running().JetStreamConfig().MaxStore, int64(3<<30))
}

func TestRoomForWhatIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		free, used, reserved uint64
		want                 int64
	}{
		"empty":              {free: 4 << 30, want: 3 << 30},
		"with what it has":   {free: 2 << 30, used: 2 << 30, want: 3 << 30},
		"full":               {used: 1 << 30, want: 1<<30 + leastRoom},
		"full, and reserved": {used: 1 << 30, reserved: 1 << 30, want: 2<<30 + leastRoom},
	} {
		require.Equal(t, c.want, roomFor(c.free, c.used, c.reserved), name)
	}
}
