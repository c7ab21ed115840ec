package relay

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestWhatALeaderTookWithItFailsOnceAnotherIsChosen, and nothing else does: not what other
// streams were asked, and not what the next leader was.
func TestWhatALeaderTookWithItFailsOnceAnotherIsChosen(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	server, err := nats.Connect(d.ClientURL()) // in place of leaders that never answer
	require.NoError(t, err)
	t.Cleanup(server.Close)
	asked, err := server.SubscribeSync("unanswered.>")
	require.NoError(t, err)
	require.NoError(t, server.Flush())
	const consumer = "$JS.API.CONSUMER.MSG.NEXT.stream.consumer"
	results := make(map[string]chan error)
	result := func(name string) func(error) {
		results[name] = make(chan error, 1)
		return func(err error) { results[name] <- err }
	}
	open := func() int {
		n := 0
		d.acks.pending.mu.Lock()
		defer d.acks.pending.mu.Unlock()
		for _, r := range d.acks.pending.waiting {
			if r.value.from == "stream" || r.value.from == "another" || r.value.from == consumer {
				n++
			}
		}
		return n
	}
	d.acks.publish("stream", nats.NewMsg("unanswered.before"), result("before"))
	d.acks.publish("another", nats.NewMsg("unanswered.another"), result("another"))
	d.acks.request(consumer, "unanswered.ack", ackBody, result("ack"))
	for range 3 {
		_, err := asked.NextMsg(patience)
		require.NoError(t, err)
	}
	require.NoError(t, server.Publish(streamLeaderElected+"stream", []byte(`{}`)))
	select {
	case err := <-results["before"]:
		require.ErrorIs(t, err, errNewLeader)
		require.ErrorIs(t, err, driver.ErrUnavailable)
	case <-time.After(patience):
		t.Fatal("it still waits")
	}
	require.Empty(t, results["another"])
	require.Empty(t, results["ack"])
	require.Equal(t, 2, open())

	// Who is known to lead was chosen before.
	d.acks.publish("stream", nats.NewMsg("unanswered.known"), result("known"))
	elected := func(leader string) *nats.Msg {
		return &nats.Msg{Subject: streamLeaderElected + "stream", Data: []byte(`{"leader":"` + leader + `"}`)}
	}
	d.acks.elections.know("stream", &jetstream.StreamInfo{Cluster: &jetstream.ClusterInfo{Leader: "n1"}})
	d.acks.elections.ofStream(elected("n1"))
	d.acks.failUnled(time.Now().Add(electionGrace))
	require.Empty(t, results["known"])
	d.acks.elections.ofStream(elected("n2"))
	d.acks.failUnled(time.Now().Add(electionGrace))
	require.ErrorIs(t, <-results["known"], errNewLeader)

	// What comes after an election is for the next leader.
	at := time.Now()
	d.acks.publish("stream", nats.NewMsg("unanswered.after"), result("after"))
	d.acks.elections.note("stream", at)
	d.acks.elections.note(consumer, time.Now())
	d.acks.failUnled(time.Now().Add(electionGrace))
	require.ErrorIs(t, <-results["ack"], errNewLeader)
	require.Empty(t, results["after"])
	require.Empty(t, results["another"])
	require.Equal(t, 2, open())
	require.Empty(t, d.acks.elections.due(time.Now().Add(time.Hour)), "each counts once")
}

// TestAnAckWaitsForTheLeaderOfItsConsumer alone.
func TestAnAckWaitsForTheLeaderOfItsConsumer(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	server, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	t.Cleanup(server.Close)
	asked, err := server.SubscribeSync("unanswered.ack")
	require.NoError(t, err)
	require.NoError(t, server.Flush())
	q := d.consume("/queue/a").QueueReader.(*reader)
	failed := make(chan error, 1)
	q.Ack(driver.Delivery{Token: "unanswered.ack"}, func(err error) { failed <- err })
	_, err = asked.NextMsg(patience)
	require.NoError(t, err)
	require.NoError(t, server.Publish(consumerLeaderElected+q.stream+".another", []byte(`{}`)))
	require.NoError(t, server.Publish(consumerLeaderElected+q.stream+"."+q.consumer, []byte(`{"leader":"another"}`)))
	select {
	case err := <-failed:
		require.ErrorIs(t, err, errNewLeader)
	case <-time.After(patience):
		t.Fatal("it still waits")
	}
}
