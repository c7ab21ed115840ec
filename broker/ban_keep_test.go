package broker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
)

// lateBans is a store that takes no ban at first.
type lateBans struct {
	driver.BanStore

	mu   sync.Mutex // guards the following
	away bool
	kept map[string]int
}

func (l *lateBans) setAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

func (l *lateBans) all() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.kept)
}

func (l *lateBans) PutBan(_ context.Context, key string, _ []byte, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return errors.New("away")
	}
	l.kept[key]++
	return nil
}

// TestABanIsKeptOnceTheStoreIsBack, if it is still in force then.
func TestABanIsKeptOnceTheStoreIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		store := &lateBans{away: true, kept: make(map[string]int)}
		b := &Broker{driver: driver.Driver{Bans: store}, bans: newBans(), log: slog.New(slog.DiscardHandler), ctx: ctx}
		b.directory = directory{b}
		b.bans.markRead()
		for _, ban := range []admin.Ban{
			{User: "ann", Until: time.Now().Add(time.Hour)}, {Token: "jti", Until: time.Now().Add(time.Hour)}, {User: "bob", Until: time.Now().Add(time.Second)},
		} {
			result, err := b.Ban(ctx, ban)
			require.NoError(t, err)
			require.False(t, result.Kept)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, store.all())
		store.setAway(false)
		time.Sleep(keepBansEvery)
		b.background.Wait()
		require.Equal(t, map[string]int{"user ann": 1, "token jti": 1}, store.all(), "the third is over")

		store.setAway(true) // and again
		_, err := b.Ban(ctx, admin.Ban{User: "eve", Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		store.setAway(false)
		time.Sleep(keepBansEvery)
		b.background.Wait()
		require.Equal(t, 1, store.all()["user eve"])
		cancel()
	})
}
