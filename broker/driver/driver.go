package driver

import (
	"errors"
)

// Driver is a backend: one interface for each ability, nil for those that it does not have. The
// broker calls nothing else, so a wrapper can replace one field and keep the others.
type Driver struct {
	// Bus carries messages between nodes. It is required.
	Bus Bus
	// Queues keeps messages until they are consumed. Without it, /queue destinations are refused.
	Queues QueueStore
	// FormerQueues delivers what queues have in the place where they were before their limits
	// changed. Without it, no consumer gets that, if the store has such places.
	FormerQueues FormerQueues
	// QueueMemory measures queues that are kept in memory. Without it, what other nodes consumed
	// of them counts against its senders until this node restarts.
	QueueMemory QueueMemory
	// QueueCounter counts the queues on disk. Without it, a queue counts against who has sent to it
	// until this node restarts, also when it is empty.
	QueueCounter QueueCounter
	// HistoryCounter counts the destinations that histories keep. Without it, one counts against
	// who has sent to it until this node restarts, also when nothing of it is kept any more.
	HistoryCounter HistoryCounter
	// Histories keeps messages for replay. It needs Queues, whose Store writes to histories too.
	Histories HistoryStore
	// Requests reaches app servers elsewhere. Without it, requests only reach the app servers of
	// this node.
	Requests RequestRouter
	// Cluster lets the nodes ask and notify each other. Without it, this node answers for itself
	// only.
	Cluster Cluster
	// Readiness says whether the backend can be used. Without it, it always can.
	Readiness Readiness
	// Idempotency keeps the records of HTTP requests with an Idempotency-Key.
	Idempotency IdempotencyStore
	// Archive makes backups, and restores them.
	Archive Archive
	// QueueAdmin lets operators look at queues and mend them.
	QueueAdmin QueueAdmin
	// HistoryAdmin lets operators read histories and clear them.
	HistoryAdmin HistoryAdmin
	// Bans stores bans. Without it, a ban ends with the last node that knows it.
	Bans BanStore
}

// Check returns an error if a required field is missing.
func (d *Driver) Check() error {
	switch {
	case d.Bus == nil:
		return errors.New("a driver needs a Bus; package relay has one")
	case d.Histories != nil && d.Queues == nil:
		return errors.New("a driver with Histories needs Queues, which takes what histories keep")
	}
	if d.Histories == nil {
		return nil
	}
	return CheckHistoryPolicies(d.Histories.Policies())
}
