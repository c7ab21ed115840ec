package driver

import (
	"cmp"
	"context"
	"time"
)

// Cluster lets the nodes ask and notify each other. It is safe for concurrent use.
type Cluster interface {
	// Broadcast sends bytes to the OnBroadcast handlers of the other nodes for the same subject.
	// They may be lost. Broadcasts of one node and subject keep their order.
	Broadcast(subject string, body []byte) error
	// OnBroadcast registers handle for the broadcasts of other nodes. It is called for one at a
	// time.
	OnBroadcast(subject string, handle func(node string, body []byte)) error
	// Request returns the replies of the other nodes, and the names of known nodes that did not
	// reply before ctx is done or the backend's own timeout.
	Request(ctx context.Context, subject string, query []byte) (replies []NodeReply, missing []string)
	// HandleRequest registers handle to reply to requests of other nodes. Handle may be called
	// concurrently.
	HandleRequest(subject string, handle func(query []byte) []byte) error
	// WatchNodes calls watch when another node appears, and when it is gone. It is called once.
	WatchNodes(watch func(node string, here bool))
}

// LostNodes is what a [Cluster] may have in addition. It is safe for concurrent use.
type LostNodes interface {
	// Lost returns the nodes that went silent without saying that they go, and are not back,
	// sorted by name. A backend may forget them after an hour.
	Lost() []LostNode
}

// LostNode is a node that went silent.
type LostNode struct {
	Name  string
	Heard time.Time // when it last said something
}

// NodeReply is what one node replies to a request.
type NodeReply struct {
	Node string // an id that stays while the node runs
	Name string // what the operator calls it, or "" where that is not known
	Body []byte
}

// Called returns what the operator calls the node, or its id where that is not known.
func (r NodeReply) Called() string { return cmp.Or(r.Name, r.Node) }
