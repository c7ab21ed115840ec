package driver

import (
	"context"
)

// Cluster lets the nodes ask and notify each other. It is safe for concurrent use.
type Cluster interface {
	// Broadcast hands bytes to the OnBroadcast handlers of the other nodes for the
	// same subject. They may be lost; those of one node and subject keep their order.
	Broadcast(subject string, body []byte) error
	// OnBroadcast has handle called with what other nodes broadcast, one at a time.
	OnBroadcast(subject string, handle func(node string, body []byte)) error
	// Request returns the replies of the other nodes, and the names of those that are
	// known and did not reply within ctx or a bound of the backend's own.
	Request(ctx context.Context, subject string, query []byte) (replies []NodeReply, missing []string)
	// HandleRequest has handle reply to requests of other nodes. It may be called
	// concurrently.
	HandleRequest(subject string, handle func(query []byte) []byte) error
	// WatchNodes has watch called when another node appears, and when it is gone. It
	// is called once.
	WatchNodes(watch func(node string, here bool))
}

// NodeReply is what one node replies to a request.
type NodeReply struct {
	Node string // an id that stays while the node runs
	Body []byte
}
