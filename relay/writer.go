package relay

import (
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

const (
	// maxWaiting and maxWaitingBytes bound what waits for a link that is slow.
	maxWaiting      = 65536
	maxWaitingBytes = 64 << 20
)

var errSlowLink = errors.New("relay: the link to NATS is slow; the message was not handed to other nodes")

// writer holds what waits to be written to the connection. A write may block for as
// long as a link does, and a publisher must not wait for that.
type writer struct {
	wake chan struct{}

	mu     sync.Mutex // guards the following
	queue  []*nats.Msg
	bytes  int
	closed bool
}

func newWriter() *writer { return &writer{wake: make(chan struct{}, 1)} }

func (w *writer) push(m *nats.Msg) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nats.ErrConnectionClosed
	}
	size := m.Size()
	if len(w.queue) >= maxWaiting || w.bytes+size > maxWaitingBytes && w.bytes > 0 {
		return errSlowLink
	}
	w.queue = append(w.queue, m)
	w.bytes += size
	if len(w.queue) == 1 {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// take returns all that waits, and leaves spare to be filled next.
func (w *writer) take(spare []*nats.Msg) []*nats.Msg {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := w.queue
	w.queue, w.bytes = spare[:0], 0
	return queue
}

// close has run return once all is written.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.wake)
	}
}

// run writes until close. What cannot be written is counted by failed.
func (w *writer) run(write func(*nats.Msg) error, failed func(error)) {
	var spare []*nats.Msg
	for open := true; open; {
		_, open = <-w.wake
		for {
			queue := w.take(spare)
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
