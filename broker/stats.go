package broker

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats are counts since the broker began, and a few current ones.
type Stats struct {
	Sessions      int64 // open now
	Subscriptions int64 // open now
	Connected     int64 // sessions that were authenticated
	Received      int64 // SEND frames taken
	Delivered     int64 // messages pushed to subscriptions
	Dropped       int64 // messages dropped for slow consumers
	Relayed       int64 // messages that came from other nodes
	RelayErrors   int64 // messages that could not be handed to other nodes
	Stored        int64 // queue messages that the store confirmed
	Refused       int64 // queue messages that were not stored
	Acked         int64 // queue messages removed
	Nacked        int64 // queue messages given back by NACK
	Stale         int64 // ACK, NACK and UNSUBSCRIBE frames for what was gone already
	Dead          int64 // queue messages moved to dead letters
	Expired       int64 // queue messages thrown away after their time
	Requests      int64 // to app servers
	Failed        int64 // requests that failed
	Rejected      int64 // SENDs that an interceptor rejected or dropped
	Kept          int64 // messages that a history confirmed
	Replays       int64 // subscriptions that asked for the past
	Replayed      int64 // messages of the past delivered
	Incomplete    int64 // times that something of the past was missing
	Queues        int64 // queues with subscriptions on this node, now
	Errors        map[Code]int64
	Limited       map[string]int64 // times that a limit of an address or user was reached, by its name
}

type counters struct {
	sessions, subscriptions, connected, received, delivered, dropped, relayed, relayErrors,
	stored, refused, acked, nacked, stale, dead, expired, kept, replays, replayed, incomplete, requests, requestsFailed, rejected atomic.Int64

	mu     sync.Mutex
	errors map[Code]int64
}

func (c *counters) countError(code Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errors == nil {
		c.errors = make(map[Code]int64)
	}
	c.errors[code]++
}

// Stats returns the counts as they are now. It is safe for concurrent use.
func (b *Broker) Stats() Stats {
	c := &b.counters
	c.mu.Lock()
	errors := maps.Clone(c.errors)
	c.mu.Unlock()
	return Stats{
		Sessions: c.sessions.Load(), Subscriptions: c.subscriptions.Load(), Connected: c.connected.Load(),
		Received: c.received.Load(), Delivered: c.delivered.Load(), Dropped: c.dropped.Load(),
		Limited: b.usage.counts(), Relayed: c.relayed.Load(), RelayErrors: c.relayErrors.Load(), Errors: errors,
		Stored: c.stored.Load(), Refused: c.refused.Load(), Acked: c.acked.Load(), Nacked: c.nacked.Load(), Stale: c.stale.Load(),
		Requests: c.requests.Load(), Failed: c.requestsFailed.Load(), Rejected: c.rejected.Load(), Kept: c.kept.Load(), Replays: c.replays.Load(), Replayed: c.replayed.Load(), Incomplete: c.incomplete.Load(),
		Dead: c.dead.Load(), Expired: c.expired.Load(), Queues: int64(len(b.queues.all())),
	}
}
