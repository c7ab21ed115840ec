package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// A consumer costs some 60 KB, so a queue has one for messages in memory only
// once somebody has sent any, to whichever queue: the node that makes the stream
// for them tells the others.

func (r *Relay) memorySubject() string { return r.prefix + ".node.memory" }

// watchMemory learns when there are messages in memory.
func (r *Relay) watchMemory() error {
	_, err := r.conn.Subscribe(r.memorySubject(), func(*nats.Msg) { r.memory.Store(true) })
	return err
}

// findMemory looks whether there were messages in memory before this node came,
// and reports whether that could be found out.
func (r *Relay) findMemory() bool {
	if r.memory.Load() {
		return true
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	_, err := r.js.Stream(ctx, r.place("/queue/any", driver.QueueOptions{Memory: true}).stream)
	if err == nil {
		r.memory.Store(true)
	}
	return err == nil || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrJetStreamNotEnabled)
}

// announceMemory is called when the stream is there.
func (r *Relay) announceMemory() {
	if !r.memory.Swap(true) {
		_ = r.conn.Publish(r.memorySubject(), nil)
	}
}

// idle reports whether the reader has nothing to read from yet.
func (q *reader) idle() bool { return q.options.Memory && !q.relay.memory.Load() }
