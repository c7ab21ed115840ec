package broker

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
)

// TestTheLongerBanStays, in whatever order a node learns of two: unless the later one replaces it, or
// the earlier one was lifted.
func TestTheLongerBanStays(t *testing.T) {
	t.Parallel()
	now := time.Now()
	long := admin.Ban{User: "eve", Made: now, Until: now.Add(time.Hour), Reason: "long"}
	short := admin.Ban{User: "eve", Made: now.Add(time.Second), Until: now.Add(time.Minute), Reason: "short"}
	replacing, lifted, longer := short, long, long
	replacing.Replaces = true
	lifted.Made, lifted.Lifted = now.Add(time.Millisecond), true
	longer.Made, longer.Until = now.Add(time.Second), now.Add(2*time.Hour)
	for name, c := range map[string]struct{ earlier, later, want admin.Ban }{
		"shorter":   {long, short, long},
		"same end":  {long, admin.Ban{User: "eve", Made: short.Made, Until: long.Until}, admin.Ban{User: "eve", Made: short.Made, Until: long.Until}},
		"longer":    {long, longer, longer},
		"replacing": {long, replacing, replacing},
		"lifted":    {lifted, short, short},
		"unban":     {long, lifted, lifted},
	} {
		for _, order := range [][]admin.Ban{{c.earlier, c.later}, {c.later, c.earlier}} {
			b := newBans()
			for _, ban := range order {
				_, ok := b.put(ban, now)
				require.True(t, ok, name)
			}
			require.Equal(t, map[string]admin.Ban{"user eve": c.want}, b.byKey, name)
		}
	}
}

// bansBroker is a broker of bans alone.
func bansBroker(ctx context.Context, store driver.BanStore) *Broker {
	b := &Broker{driver: driver.Driver{Bans: store}, bans: newBans(), log: slog.New(slog.DiscardHandler), ctx: ctx}
	b.directory = directory{b}
	b.bans.markRead()
	return b
}

// TestABanIsMadeAfterTheOneBefore, though the clock of the node that made that one is ahead.
func TestABanIsMadeAfterTheOneBefore(t *testing.T) {
	t.Parallel()
	b := bansBroker(t.Context(), nil)
	ahead := admin.Ban{User: "eve", Until: time.Now().Add(time.Hour), Made: time.Now().Add(time.Minute)}
	b.bans.put(ahead, time.Now())
	found, _ := b.Unban(t.Context(), admin.Ban{User: "eve"})
	require.True(t, found)
	require.Empty(t, b.Bans())
	result, err := b.Ban(t.Context(), admin.Ban{User: "eve", Until: time.Now().Add(time.Second)})
	require.NoError(t, err)
	require.Equal(t, []admin.Ban{result.InForce}, b.Bans())
}

// TestTheStoreKeepsTheBanThatIsInForce, where another node has written a shorter one over it.
func TestTheStoreKeepsTheBanThatIsInForce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		store := &lateBans{kept: make(map[string]int)}
		b := bansBroker(ctx, store)
		_, err := b.Ban(ctx, admin.Ban{User: "eve", Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		text, err := json.Marshal(admin.Ban{User: "eve", Made: time.Now().Add(time.Second), Until: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		b.directory.learnKeptBan(text)
		time.Sleep(keepBansEvery)
		b.background.Wait()
		require.Equal(t, map[string]int{"user eve": 2}, store.all())
		cancel()
	})
}
