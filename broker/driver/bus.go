package driver

import (
	"context"
)

// Bus carries messages between nodes. It must be safe for concurrent use, and
// must not call back before it returns.
type Bus interface {
	// Publish hands a message to the other nodes with an interest in it, and
	// never back to this one. It must not block on a slow network; messages of
	// one caller to one destination keep their order.
	Publish(m *Message) error
	// Subscribe declares interest in a routing pattern. From then on deliver is
	// called with the messages of other nodes that match it, one at a time for
	// messages of one destination, until unsubscribe was called.
	Subscribe(pattern string, deliver func(*Message)) (unsubscribe func(), err error)
	// Flush returns when the other nodes would honor all interests declared
	// before it.
	Flush(ctx context.Context) error
}
