package relay

import (
	"context"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// Driver returns the relay as a backend of the broker.
func (r *Relay) Driver() driver.Driver {
	return driver.Driver{
		Bus: r, Queues: r, Histories: r, Requests: r, Cluster: cluster{r}, Idempotency: r, QueueAdmin: r,
	}
}

// cluster is the relay as a [driver.Cluster].
type cluster struct{ *Relay }

// Request asks all other nodes. See [driver.Cluster].
func (c cluster) Request(ctx context.Context, subject string, query []byte) ([]driver.NodeReply, []string) {
	return c.RequestNodes(ctx, subject, query)
}

// AckWait is how long JetStream waits for a node that holds messages.
func (r *Relay) AckWait() time.Duration { return r.queues.AckWait }

// Policies are what the histories keep.
func (r *Relay) Policies() []driver.HistoryPolicy { return r.settings.Policies }
