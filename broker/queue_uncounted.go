package broker

import (
	"sync"
)

// maxUncounted bounds of how many messages of a queue it is known that deliveries of
// them do not count. Beyond, all deliveries of further ones count.
const maxUncounted = 10_000

// uncounted knows how many deliveries of a message the store has counted and no client
// failed with: the store gave up on one while it was out of reach and the client still
// has it, or the message went back before it was handed to a client.
type uncounted struct {
	mu     sync.Mutex // guards the following
	counts map[string]int
}

func (u *uncounted) add(messageID string, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts == nil || len(u.counts) >= maxUncounted {
		u.counts = make(map[string]int)
	}
	u.counts[messageID] += n
}

func (u *uncounted) of(messageID string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[messageID]
}
