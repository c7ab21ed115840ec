package relay

import (
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

const (
	// mostOutgoing and mostOutgoingBytes bound what waits for a link that is slow.
	mostOutgoing      = 65536
	mostOutgoingBytes = 64 << 20
)

var errSlowLink = errors.New("relay: the link to NATS is slow; the message was not handed to other nodes")

// outgoing is what waits to be written to the connection. A write may block for as
// long as a link does, and nobody who publishes is to wait for that.
type outgoing struct {
	mu     sync.Mutex
	queue  []*nats.Msg
	bytes  int
	closed bool
	wake   chan struct{}
}

func (o *outgoing) push(m *nats.Msg) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nats.ErrConnectionClosed
	}
	if len(o.queue) >= mostOutgoing || o.bytes+len(m.Data) > mostOutgoingBytes && o.bytes > 0 {
		return errSlowLink
	}
	o.queue = append(o.queue, m)
	o.bytes += len(m.Data)
	if len(o.queue) == 1 {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// take returns all that waits, with its octets.
func (o *outgoing) take(spare []*nats.Msg) []*nats.Msg {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue := o.queue
	o.queue, o.bytes = spare[:0], 0
	return queue
}

// close has run return once all is written.
func (o *outgoing) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.wake)
	}
}

// run writes until close. What cannot be written is counted by failed.
func (o *outgoing) run(write func(*nats.Msg) error, failed func(error)) {
	var spare []*nats.Msg
	for open := true; open; {
		_, open = <-o.wake
		for {
			queue := o.take(spare)
			for _, m := range queue {
				if err := write(m); err != nil {
					failed(err)
				}
			}
			clear(queue)
			spare = queue // never the one that is being filled
			if len(queue) == 0 {
				break
			}
		}
	}
}
