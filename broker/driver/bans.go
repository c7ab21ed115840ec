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
	// node changed it. It calls read once, when all stored bans were passed to watch, or if there
	// is nothing that keeps bans. Until then it may be that a banned user is not known, so the
	// broker lets no client in. If the store can be reached, both come before WatchBans returns. It
	// is called once.
	WatchBans(watch func(ban []byte), read func()) error
}
