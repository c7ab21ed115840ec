package broker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

func newLonely(t *testing.T) *Broker {
	t.Helper()
	b, err := New(Options{Driver: driver.Driver{Bus: &lonely{interests: map[string]int{}}}, Authenticator: noAuthenticator{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Shutdown(context.Background())) })
	return b
}

type noAuthenticator struct{ Authenticator }

func TestAliveReportsEachLockThatHangs(t *testing.T) {
	t.Parallel()
	b := newLonely(t)
	require.NoError(t, b.Alive(context.Background()))
	locks := map[string]sync.Locker{
		"sessions": &b.registry.shards[registryShards-1].mu, "subscriptions": &b.router.shards[routerShards-1].mu,
		"wildcards": &b.router.wild.mu, "queues": &b.queues.mu,
	}
	for name, lock := range locks {
		lock.Lock()
		patience, end := context.WithCancelCause(context.Background())
		end(errors.New("patience ended"))
		probe := b.upkeep.startProbe()
		for range 3 {
			require.ErrorContains(t, b.Alive(patience), "the broker hangs: the locks of sessions and subscriptions are not free: patience ended", name)
		}
		require.Equal(t, probe, b.upkeep.startProbe(), "calls share one probe")
		lock.Unlock()
		require.NoError(t, b.Alive(context.Background()), name)
	}
}

func TestAliveReportsASweepThatHangs(t *testing.T) {
	t.Parallel()
	b := newLonely(t)
	b.registry.shards[0].mu.Lock() // so that no sweep ends meanwhile
	b.liveness.swept.Store(b.clock.now() - int64(maxSweepAge+time.Minute))
	err := b.upkeep.sweepError()
	b.registry.shards[0].mu.Unlock()
	require.ErrorContains(t, err, "the last sweep of the sessions ended 3m0s ago")
}

func TestAliveAfterShutdown(t *testing.T) {
	t.Parallel()
	b, err := New(Options{Driver: driver.Driver{Bus: &lonely{interests: map[string]int{}}}, Authenticator: noAuthenticator{}})
	require.NoError(t, err)
	require.NoError(t, b.Shutdown(context.Background()))
	b.liveness.swept.Store(b.clock.now() - int64(time.Hour))
	require.NoError(t, b.Alive(context.Background()), "a broker that has ended does not hang")
}
