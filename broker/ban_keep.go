package broker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stompbox/stompbox/broker/admin"
)

// keepBansEvery is how often the store is asked again to keep the bans that it did not take.
const keepBansEvery = 5 * time.Second

// keepLater has the store asked again to keep a ban of this node.
func (b banExchange) keepLater(ban admin.Ban) {
	b.bans.mu.Lock()
	defer b.bans.mu.Unlock()
	if b.bans.unkept == nil {
		b.bans.unkept = make(map[string]bool)
	}
	b.bans.unkept[ban.Key()] = true
	if !b.bans.keeping {
		b.bans.keeping = true
		b.background.Go(b.keepUnkept)
	}
}

// keepUnkept tries to keep bans until there are none that are not kept.
func (b banExchange) keepUnkept() {
	tick := time.NewTicker(keepBansEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		if b.cluster != nil {
			b.ask() // another node may have made or lifted one of them meanwhile
		}
		for _, ban := range b.bans.toKeep(time.Now()) {
			text, _ := json.Marshal(ban) // strings always can be
			ctx, cancel := context.WithTimeout(b.ctx, storeTimeout)
			err := b.driver.Bans.PutBan(ctx, ban.Key(), text, ban.Until)
			cancel()
			if err != nil {
				break // nor the others
			}
			if b.bans.kept(ban) {
				b.log.Info("a ban is kept now", "user", ban.User, "token", ban.Token)
			}
		}
		if b.bans.allKept() {
			return
		}
	}
}

// toKeep returns the bans that are not kept, and forgets those that are over.
func (b *bans) toKeep(now time.Time) (all []admin.Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.unkept {
		ban, ok := b.byKey[key]
		if !ok || !now.Before(ban.Until) {
			delete(b.unkept, key)
			continue
		}
		all = append(all, ban)
	}
	return all
}

// kept notes that a ban is kept, and reports whether that is the one that is in force.
func (b *bans) kept(ban admin.Ban) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.byKey[ban.Key()]; !now.Made.Equal(ban.Made) {
		return false // it was made again or lifted meanwhile
	}
	delete(b.unkept, ban.Key())
	return true
}

// allKept reports whether no ban is left to keep. The caller then ends, and the next ban that is
// not kept starts another goroutine.
func (b *bans) allKept() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keeping = len(b.unkept) > 0
	return !b.keeping
}
