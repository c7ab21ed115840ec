//go:build !race

package broker

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// The race detector has pools lose some of what is put into them.

// TestWritingAllocatesNothingPerSubscriber: each subscriber is idle, as most are when a message
// comes, and has it written.
func TestWritingAllocatesNothingPerSubscriber(t *testing.T) {
	const subscribers, messages = 500, 50
	b := newTestBroker(t)
	var sink sink
	for range subscribers {
		subscriberOn(t, b, &sink)
	}
	m := &driver.Message{ID: "1", Destination: "/topic/a", Key: "/topic/a", Body: []byte("x")}
	publish := func() {
		wanted := sink.written.Load() + subscribers
		b.topics.publish(m, nil)
		for sink.written.Load() < wanted {
			runtime.Gosched()
		}
	}
	require.Less(t, testing.AllocsPerRun(messages, publish), subscribers/5.0, "allocations for %d subscribers", subscribers)
	require.EqualValues(t, subscribers*(messages+1), sink.written.Load())
}

// sink is a transport that takes everything at once.
type sink struct {
	gate
	written atomic.Int64
}

func (s *sink) WritesNow() bool { return true }

func (s *sink) WriteNow(buffers [][]byte) (n int) {
	for _, b := range buffers {
		n += len(b)
	}
	s.written.Add(int64(len(buffers)))
	return n
}

func (s *sink) Write(buffers [][]byte) error {
	s.WriteNow(buffers)
	return nil
}

func (s *sink) Finish(time.Duration) {}

func (s *sink) Close() error { return nil }
