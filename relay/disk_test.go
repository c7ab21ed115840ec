package relay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// fullable is a relay whose disk can be filled.
type fullable struct {
	*Relay
	t    *testing.T
	free atomic.Int64
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
	}}, Options{})
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
	f.eventually(func() bool { return f.link.server.data.crashed.Load() > 0 })
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
