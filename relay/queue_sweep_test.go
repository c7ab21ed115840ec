package relay

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestConsumersOfQueuesThatWereLeftGo leaves one while a message is held, and one as a
// node that dies does.
func TestConsumersOfQueuesThatWereLeftGo(t *testing.T) {
	t.Parallel()
	r, ctx := alone(t)
	open := func(queue string) (driver.QueueReader, driver.Delivery) {
		stored := make(chan error, 1)
		r.queues.Store(&driver.Message{Key: queue, Destination: queue}, driver.StoreOptions{}, func(err error) { stored <- err })
		require.NoError(t, <-stored)
		got := make(chan driver.Delivery, 1)
		q, err := r.queues.OpenQueue(ctx, queue, driver.QueueOptions{}, func(d driver.Delivery) { got <- d })
		require.NoError(t, err)
		q.Pull(1)
		select {
		case d := <-got:
			return q, d
		case <-ctx.Done():
			t.Fatal("nothing came")
			return nil, driver.Delivery{}
		}
	}
	acked := func(q driver.QueueReader, d driver.Delivery) {
		done := make(chan error, 1)
		q.Ack(d, func(err error) { done <- err })
		require.NoError(t, <-done)
	}
	consumers := func() (names []string) {
		stream, err := r.link.js.Stream(ctx, "stompbox_queues")
		require.NoError(t, err)
		for name := range stream.ConsumerNames(ctx).Name() {
			names = append(names, name)
		}
		return names
	}
	used, usedDelivery := open("/queue/used")
	acked(used, usedDelivery)
	left, held := open("/queue/left")
	left.Close(nil)
	acked(left, held)
	died, diedDelivery := open("/queue/died")
	acked(died, diedDelivery)
	r.readers.mu.Lock()
	delete(r.readers.open, died.(*reader))
	r.readers.mu.Unlock()
	require.NoError(t, died.(*reader).sub.Unsubscribe())

	require.NoError(t, r.queues.sweepConsumers(ctx, time.Now()))
	require.Contains(t, consumers(), safeName("/queue/died"), "it could be new")
	require.NoError(t, r.queues.sweepConsumers(ctx, time.Now().Add(sweepAge)))
	require.Equal(t, []string{safeName("/queue/used")}, consumers())

	// What was acknowledged and is in the stream yet would come as new from another consumer.
	stored := make(chan error, 1)
	r.queues.Store(&driver.Message{Key: "/queue/used", Destination: "/queue/used"}, driver.StoreOptions{}, func(err error) { stored <- err })
	require.NoError(t, <-stored)
	used.Close(nil)
	r.readers.awaitReturned(ctx, pullSubject("stompbox_queues", safeName("/queue/used")))
	info := &jetstream.ConsumerInfo{Stream: "stompbox_queues", NumPending: 1, Config: jetstream.ConsumerConfig{FilterSubject: "stompbox.queue.used"}}
	removable, err := isRemovable(ctx, r.link, info, time.Now())
	require.NoError(t, err)
	require.True(t, removable)
	info.NumPending = 0
	removable, err = isRemovable(ctx, r.link, info, time.Now())
	require.NoError(t, err)
	require.False(t, removable)
}

// TestAConsumerIsNotIdleUnderANewLeader, which does not know yet who pulls from it.
func TestAConsumerIsNotIdleUnderANewLeader(t *testing.T) {
	t.Parallel()
	since := time.Now()
	info := &jetstream.ConsumerInfo{Cluster: &jetstream.ClusterInfo{Leader: "n0", LeaderSince: &since}}
	require.False(t, isIdle(info, since.Add(pullsKnown-time.Second)))
	require.True(t, isIdle(info, since.Add(pullsKnown)))
	require.True(t, isIdle(&jetstream.ConsumerInfo{}, since), "a server alone has no other leader")
	first := &jetstream.ConsumerInfo{Created: since.Add(-firstLeader), Cluster: info.Cluster}
	require.True(t, isIdle(first, since), "the first leader knows who pulls")
	info.NumAckPending = 1
	require.False(t, isIdle(info, since.Add(pullsKnown)))
}

// TestAListIsTakenWhole: the goroutine that sends it ends, though the loop over it does so early.
func TestAListIsTakenWhole(t *testing.T) {
	t.Parallel()
	list, sent := make(chan int), make(chan struct{})
	go func() {
		defer close(sent)
		defer close(list)
		for i := range 3 {
			list <- i
		}
	}()
	require.Equal(t, []int{0, 1, 2}, drain(list), "before a loop over it begins")
	<-sent
}
