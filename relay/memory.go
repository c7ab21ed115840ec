package relay

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker"
)

// A consumer costs some 60 KB, so a queue has one for messages in memory only
// once somebody has sent any, to whichever queue: the node that makes the stream
// for them tells the others.

func (r *Relay) memorySubject() string { return r.prefix + ".node.memory" }

// watchMemory learns whether there are messages in memory, now and later.
func (r *Relay) watchMemory() error {
	if _, err := r.conn.Subscribe(r.memorySubject(), func(*nats.Msg) { r.memory.Store(true) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, setupTimeout)
	defer cancel()
	if _, err := r.js.Stream(ctx, r.place("/queue/any", broker.QueueOptions{Memory: true}).stream); err == nil {
		r.memory.Store(true)
	}
	return nil
}

// announceMemory is called when the stream is there.
func (r *Relay) announceMemory() {
	if !r.memory.Swap(true) {
		_ = r.conn.Publish(r.memorySubject(), nil)
	}
}

// idle reports whether the reader has nothing to read from yet.
func (q *reader) idle() bool { return q.options.Memory && !q.relay.memory.Load() }
