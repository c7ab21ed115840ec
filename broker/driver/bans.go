package driver

import (
	"context"
	"time"
)

// BanStore keeps who is banned, the same for all nodes and over their restarts. It is safe
// for concurrent use.
type BanStore interface {
	// PutBan keeps a ban until its end, in place of an earlier one with the same key.
	PutBan(ctx context.Context, key string, ban []byte, until time.Time) error
	// WatchBans has watch called with each ban that is kept, before it returns where the
	// store can be reached, and later with those that change, also by this node. It is
	// called once.
	WatchBans(watch func(ban []byte)) error
}
