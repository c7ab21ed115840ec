package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// memoryQueues know whether any node keeps queue messages in memory. A consumer costs
// some 60 KB, so a queue has one for messages in memory only once such a message was
// sent, to whichever queue: the node that makes the stream for them notifies the others.
type memoryQueues struct {
	link *link
	used atomic.Bool
}

func (m *memoryQueues) subject() string { return m.link.prefix + ".node.memory" }

// begin learns when there are messages in memory.
func (m *memoryQueues) begin() error {
	_, err := m.link.conn.Subscribe(m.subject(), func(*nats.Msg) { m.used.Store(true) })
	return err
}

// find looks whether there were messages in memory before this node came, and reports
// whether that could be found out.
func (m *memoryQueues) find() bool {
	if m.used.Load() {
		return true
	}
	ctx, cancel := context.WithTimeout(m.link.ctx, time.Second)
	defer cancel()
	_, err := m.link.js.Stream(ctx, queuePlace(m.link.prefix, "/queue/any", driver.QueueOptions{Memory: true}).stream)
	if err == nil {
		m.used.Store(true)
	}
	return err == nil || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrJetStreamNotEnabled)
}

// announce is called when the stream is there.
func (m *memoryQueues) announce() {
	if !m.used.Swap(true) {
		_ = m.link.conn.Publish(m.subject(), nil)
	}
}

// MemoryBytes measures queues. See [driver.QueueMemory].
func (s *queueStore) MemoryBytes(ctx context.Context) (int64, error) {
	if err := s.link.checkAsk(); err != nil {
		return 0, err
	}
	stream, err := s.link.js.Stream(ctx, queuePlace(s.link.prefix, "/queue/any", driver.QueueOptions{Memory: true}).stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, nil
	case err != nil:
		return 0, storeError("cannot look at the queues in memory", err)
	}
	state := stream.CachedInfo().State
	return int64(state.Bytes + state.Msgs*driver.MessageOverhead), nil
}
