package relay

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// storeIn stores a message in a queue with these options.
func storeIn(t *testing.T, r *Relay, queue, id string, o driver.QueueOptions) {
	t.Helper()
	stored := make(chan error, 1)
	r.queues.Store(&driver.Message{ID: id, Key: queue, Destination: queue}, driver.StoreOptions{Queue: o}, func(err error) { stored <- err })
	require.NoError(t, <-stored)
}

// TestTheOtherPlaceOfAQueueIsReadOnceItHasMessages: no stream and no consumer is made for a
// queue without any, what a node with other settings stores later comes, and the consumer
// goes with its reader.
func TestTheOtherPlaceOfAQueueIsReadOnceItHasMessages(t *testing.T) {
	t.Parallel()
	const queue = "/queue/a"
	limited := driver.QueueOptions{MaxMessages: 10}
	for name, o := range map[string]driver.QueueOptions{"with limits": limited, "without limits": {}} {
		other := limited
		if o == limited {
			other = driver.QueueOptions{}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ctx := alone(t)
			got := make(chan driver.Delivery, 10)
			q, err := r.Driver().FormerQueues.OpenFormer(ctx, queue, o, func(d driver.Delivery) { got <- d })
			require.NoError(t, err)
			q.Pull(3)
			require.NoError(t, r.former.sweep(ctx, time.Now()))
			place := formerPlace(r.link.prefix, queue, o)
			_, err = r.link.js.Stream(ctx, place.stream)
			require.ErrorIs(t, err, jetstream.ErrStreamNotFound)

			store := func(id string) {
				storeIn(t, r, queue, id, other)
			}
			next := func() driver.Delivery {
				select {
				case d := <-got:
					return d
				case <-ctx.Done():
					t.Fatal("nothing came")
					return driver.Delivery{}
				}
			}
			store("1")
			require.NoError(t, r.former.sweep(ctx, time.Now()))
			d := next()
			require.Equal(t, "1", d.Message.ID)
			require.Equal(t, queue, d.Message.Destination)
			store("2")
			held := next()
			acked := make(chan error, 1)
			q.Ack(d, func(err error) { acked <- err })
			require.NoError(t, <-acked)
			<-q.Close([]driver.Delivery{held})

			q, err = r.former.OpenFormer(ctx, queue, o, func(d driver.Delivery) { got <- d })
			require.NoError(t, err)
			q.Pull(1)
			again := next()
			require.Equal(t, "2", again.Message.ID)
			require.Equal(t, 2, again.Count)
			q.Ack(again, func(err error) { acked <- err })
			require.NoError(t, <-acked)
			<-q.Close(nil)
			_, err = r.link.js.Consumer(ctx, place.stream, safeName(queue))
			require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
			q, err = r.former.OpenFormer(ctx, queue, o, func(driver.Delivery) {})
			require.NoError(t, err)
			defer q.Close(nil)
			_, err = r.link.js.Consumer(ctx, place.stream, safeName(queue))
			require.ErrorIs(t, err, jetstream.ErrConsumerNotFound, "it has none without messages")
		})
	}
}

// TestTheOtherPlaceOfAQueueIsReadOnAllNodes of a cluster, where a message that one holds goes to
// another one.
func TestTheOtherPlaceOfAQueueIsReadOnAllNodes(t *testing.T) {
	t.Parallel()
	const queue = "/queue/a"
	all := clusterOf(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	storeIn(t, all[0].Relay, queue, "1", driver.QueueOptions{})
	for i, d := range all {
		got := make(chan driver.Delivery, 1)
		q, err := d.former.OpenFormer(ctx, queue, driver.QueueOptions{MaxBytes: 1 << 20}, func(d driver.Delivery) { got <- d })
		require.NoError(t, err)
		q.Pull(1)
		select {
		case held := <-got:
			require.Equal(t, "1", held.Message.ID)
			require.Equal(t, i+1, held.Count)
			<-q.Close([]driver.Delivery{held})
		case <-ctx.Done():
			t.Fatal("nothing came")
		}
	}
}

// TestAPlaceWithoutMessagesIsAskedAboutOnce until the next sweep, and its reader subscribes to
// nothing.
func TestAPlaceWithoutMessagesIsAskedAboutOnce(t *testing.T) {
	t.Parallel()
	r, ctx := alone(t)
	asked := func(what string) time.Time { // each time it is asked is noted
		r.former.mu.Lock()
		defer r.former.mu.Unlock()
		return r.former.looked[what]
	}
	open := func(queue string, o driver.QueueOptions) {
		q, err := r.former.OpenFormer(ctx, queue, o, func(driver.Delivery) {})
		require.NoError(t, err)
		<-q.Close(nil)
	}
	store := func(queue string, o driver.QueueOptions) { storeIn(t, r, queue, queue, o) }
	limited, none := driver.QueueOptions{MaxMessages: 10}, driver.QueueOptions{}
	place := func(queue string) place { return formerPlace(r.link.prefix, queue, limited) }
	shared := place("/queue/c").stream

	open("/queue/a", none)
	require.True(t, r.former.listed)
	subscriptions := r.link.conn.NumSubscriptions()
	idle, err := r.former.OpenFormer(ctx, "/queue/b", none, func(driver.Delivery) {})
	require.NoError(t, err)
	require.Equal(t, subscriptions, r.link.conn.NumSubscriptions())
	<-idle.Close(nil)
	require.Empty(t, r.former.looked, "no queue has limits")
	open("/queue/c", limited)
	first := asked(shared)
	require.NotZero(t, first)
	open("/queue/c", limited)
	open("/queue/d", limited)
	require.Equal(t, first, asked(shared), "there is no queue without limits")
	require.Len(t, r.former.looked, 1)

	store("/queue/other", none)
	store("/queue/limited", limited)
	open("/queue/limited", none)
	require.Len(t, r.former.looked, 1, "it is listed once")
	r.former.forget()
	open("/queue/c", limited)
	require.Zero(t, asked(shared))
	first = asked(place("/queue/c").subject)
	require.NotZero(t, first)
	open("/queue/c", limited)
	require.Equal(t, first, asked(place("/queue/c").subject))
	open("/queue/d", limited)
	require.NotZero(t, asked(place("/queue/d").subject))

	got := make(chan driver.Delivery, 1)
	q, err := r.former.OpenFormer(ctx, "/queue/limited", none, func(d driver.Delivery) { got <- d })
	require.NoError(t, err)
	q.Pull(1)
	require.Equal(t, "/queue/limited", (<-got).Message.ID)
	<-q.Close(nil)
	require.NoError(t, r.former.sweep(ctx, time.Now().Add(2*sweepEvery)))
	require.Empty(t, r.former.looked)
	open("/queue/c", limited)
	require.True(t, asked(place("/queue/c").subject).After(first))
}
