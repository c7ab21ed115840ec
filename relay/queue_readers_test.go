package relay

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// silentSource is one whose leader does not answer.
type silentSource struct {
	readerSource
	begun atomic.Bool // it has something to read
	asked chan struct{}
	end   chan struct{}
}

func (s *silentSource) idle() bool { return !s.begun.Load() }

func (s *silentSource) name() string { return "/queue/silent" }

func (s *silentSource) forget() {}

func (s *silentSource) ended() {}

func (s *silentSource) ensure(context.Context) (string, *jetstream.ConsumerInfo, error) {
	s.asked <- struct{}{}
	<-s.end
	return "", nil, context.Canceled
}

// TestAConsumerThatIsNotFoundKeepsNothingWaiting: neither other consumers, nor what is to
// fail meanwhile.
func TestAConsumerThatIsNotFoundKeepsNothingWaiting(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	server, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	t.Cleanup(server.Close)
	c := d.consume("/queue/a")
	c.Pull(1)
	silent := &silentSource{asked: make(chan struct{}, 100), end: make(chan struct{})}
	t.Cleanup(func() { close(silent.end) })
	q, err := d.readers.openReader(t.Context(), silent, func(driver.Delivery) {})
	require.NoError(t, err)
	q.Pull(1)
	silent.begun.Store(true)
	<-silent.asked

	asked, err := server.SubscribeSync(c.QueueReader.(*reader).next)
	require.NoError(t, err)
	unanswered, err := server.SubscribeSync("unanswered")
	require.NoError(t, err)
	require.NoError(t, server.Flush())
	c.QueueReader.(*reader).markLost()
	_, err = asked.NextMsg(patience)
	require.NoError(t, err, "the other consumer is found again")

	failed := make(chan error, 1)
	d.acks.publish("stream", nats.NewMsg("unanswered"), func(err error) { failed <- err })
	_, err = unanswered.NextMsg(patience)
	require.NoError(t, err)
	require.NoError(t, server.Publish(streamLeaderElected+"stream", []byte(`{}`)))
	select {
	case err := <-failed:
		require.ErrorIs(t, err, errNewLeader)
	case <-time.After(patience):
		t.Fatal("it still waits")
	}
	require.Empty(t, silent.asked, "it is asked once at a time")
}
