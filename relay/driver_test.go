package relay_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/driver/drivertest"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/relay"
)

// countingStore counts what is stored, and leaves all else to the store below.
type countingStore struct {
	driver.QueueStore
	stored atomic.Int64
}

func (c *countingStore) Store(m *driver.Message, o driver.StoreOptions, done func(error)) {
	c.stored.Add(1)
	c.QueueStore.Store(m, o, done)
}

func (c *countingStore) StoreAll(ctx context.Context, all []driver.StoreRequest) error {
	c.stored.Add(int64(len(all)))
	return c.QueueStore.StoreAll(ctx, all)
}

// TestAWrapperAroundOneAbilityKeepsTheOthers: a wrapper replaces one field of the
// driver, and the broker still finds all others.
func TestAWrapperAroundOneAbilityKeepsTheOthers(t *testing.T) {
	t.Parallel()
	nats, err := relay.Embed(relay.EmbeddedOptions{DataDir: t.TempDir()}, relay.Options{})
	require.NoError(t, err)
	t.Cleanup(nats.Close)
	d := nats.Driver()
	counting := &countingStore{QueueStore: d.Queues}
	d.Queues = counting
	b, err := broker.New(broker.Options{Authenticator: new(auth.Authenticator), Driver: d})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Shutdown(context.Background()) })

	permissions, err := auth.NewPermissions(auth.AllGrants(), "ann")
	require.NoError(t, err)
	_, err = b.Send(t.Context(), &auth.Principal{Name: "ann", Permissions: permissions},
		broker.Publication{Destination: "/queue/counted", Headers: frames.Headers{}, Body: []byte("a")})
	require.NoError(t, err)
	require.EqualValues(t, 1, counting.stored.Load())
	info, err := d.QueueAdmin.Queue(t.Context(), "/queue/counted")
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Messages)
}

// TestBusOverNATS: what a bus promises, over one server that the nodes share.
func TestBusOverNATS(t *testing.T) {
	t.Parallel()
	server, err := relay.Embed(relay.EmbeddedOptions{DataDir: t.TempDir(), Host: "127.0.0.1", Port: -1}, relay.Options{Name: "server"})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	drivertest.TestBus(t, func(t *testing.T) (a, b driver.Bus) {
		dial := func(name string) driver.Bus {
			node, err := relay.Dial(relay.Options{URL: server.ClientURL(), Name: name})
			require.NoError(t, err)
			t.Cleanup(node.Close)
			return node.Driver().Bus
		}
		return dial("a"), dial("b")
	})
}
