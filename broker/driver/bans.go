package driver

import (
	"context"
	"time"
)

// BanStore keeps bans for all nodes, over their restarts. It is safe for concurrent use.
type BanStore interface {
	// PutBan stores a ban until its end. It replaces an earlier one with the same key.
	PutBan(ctx context.Context, key string, ban []byte, until time.Time) error
	// WatchBans calls watch with each stored ban, and later with each changed one, even if this
	// node changed it. If the store can be reached, the stored bans come before WatchBans
	// returns. It is called once.
	WatchBans(watch func(ban []byte)) error
}
