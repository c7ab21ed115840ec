package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// maxWaiting is how many messages may wait for a node that is slow.
const maxWaiting = 4096

// Hub joins the nodes of one process. It is safe for concurrent use.
type Hub struct {
	mu    sync.RWMutex // guards the following
	nodes map[*Node]struct{}
}

// NewHub returns a hub without nodes.
func NewHub() *Hub { return &Hub{nodes: make(map[*Node]struct{})} }

// Join adds a node. Close takes it out again.
func (h *Hub) Join() *Node {
	n := &Node{hub: h, waiting: make(chan *driver.Message, maxWaiting), closed: make(chan struct{}), interests: make(map[*interest]struct{})}
	h.mu.Lock()
	h.nodes[n] = struct{}{}
	h.mu.Unlock()
	n.worker.Go(n.run)
	return n
}

// Node is the [driver.Bus] of one broker.
type Node struct {
	hub     *Hub
	waiting chan *driver.Message
	closed  chan struct{}
	worker  sync.WaitGroup

	mu        sync.RWMutex // guards the following
	interests map[*interest]struct{}
}

// A node is a Bus, by the compiler's word.
var _ driver.Bus = (*Node)(nil)

// interest is one pattern that a node has subscribers for.
type interest struct {
	pattern destination.Pattern
	deliver func(*driver.Message)
}

// Driver returns what the broker needs. Fields for abilities that there are not stay nil:
// queues and histories are refused with an ERROR that says so.
func (n *Node) Driver() driver.Driver { return driver.Driver{Bus: n} }

// Publish hands a message to the other nodes with an interest in it. A message is
// immutable, so all of them share it. It does not wait for a node: where too much waits
// already, that node misses the message and the error says so.
func (n *Node) Publish(m *driver.Message) error {
	n.hub.mu.RLock()
	defer n.hub.mu.RUnlock()
	missed := 0
	for other := range n.hub.nodes {
		if other == n || !other.wants(m.Key) {
			continue
		}
		select {
		case other.waiting <- m:
		default:
			missed++
		}
	}
	if missed > 0 {
		return fmt.Errorf("%w: %d nodes are too slow", driver.ErrUnavailable, missed)
	}
	return nil
}

// Subscribe declares an interest. The hub is memory, so all nodes honor it at once.
func (n *Node) Subscribe(pattern string, deliver func(*driver.Message)) (unsubscribe func(), err error) {
	parsed, err := destination.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	i := &interest{pattern: parsed, deliver: deliver}
	n.mu.Lock()
	n.interests[i] = struct{}{}
	n.mu.Unlock()
	return func() {
		n.mu.Lock()
		delete(n.interests, i)
		n.mu.Unlock()
	}, nil
}

// Flush has nothing to wait for.
func (n *Node) Flush(context.Context) error { return nil }

// Close takes the node out of the hub. What waits for it is dropped.
func (n *Node) Close() {
	n.hub.mu.Lock()
	delete(n.hub.nodes, n)
	n.hub.mu.Unlock()
	close(n.closed)
	n.worker.Wait()
}

// wants reports whether the node has an interest in a routing key.
func (n *Node) wants(key string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i := range n.interests {
		if i.pattern.Match(key) {
			return true
		}
	}
	return false
}

// run delivers what waits. One goroutine keeps the order of each destination, and never
// delivers two messages of one at a time.
func (n *Node) run() {
	for {
		select {
		case m := <-n.waiting:
			for _, i := range n.interestsIn(m.Key) {
				i.deliver(m)
			}
		case <-n.closed:
			return
		}
	}
}

// interestsIn returns the interests in a routing key. The broker may subscribe and
// unsubscribe while it is called, so no lock is held meanwhile.
func (n *Node) interestsIn(key string) (found []*interest) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i := range n.interests {
		if i.pattern.Match(key) {
			found = append(found, i)
		}
	}
	return found
}
