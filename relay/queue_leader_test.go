package relay

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// TestAnotherLeaderIsAskedAtOnce: a leader that died, or was paused or cut off, takes what it
// was asked for with it. What it says late of that changes nothing.
func TestAnotherLeaderIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	server, err := nats.Connect(d.ClientURL()) // in place of a leader
	require.NoError(t, err)
	t.Cleanup(server.Close)
	c := d.consume("/queue/a")
	q := c.QueueReader.(*reader)
	asked, err := server.SubscribeSync(q.next)
	require.NoError(t, err)
	require.NoError(t, server.Flush())
	request := func() (n int, reply string) {
		msg, err := asked.NextMsg(patience)
		require.NoError(t, err)
		var body struct {
			Batch int `json:"batch"`
		}
		require.NoError(t, json.Unmarshal(msg.Data, &body))
		return body.Batch, msg.Reply
	}
	c.Pull(3)
	n, first := request()
	require.Equal(t, 3, n)

	require.NoError(t, server.Publish(consumerLeaderElected+q.stream+"."+q.consumer, []byte(`{"leader":"another"}`)))
	n, second := request()
	require.Equal(t, 3, n, "all that has not come")
	require.NotEqual(t, first, second)

	says := func(reply, status, description string) {
		t.Helper()
		require.NoError(t, server.PublishMsg(&nats.Msg{Subject: reply, Header: nats.Header{
			"Status": {status}, "Description": {description}, "Nats-Pending-Messages": {"3"},
		}}))
	}
	says(first, "409", "Leadership Change")
	says(first, "408", "Request Timeout")
	says(second, "408", "Request Timeout")
	n, third := request()
	require.Equal(t, 3, n)
	require.Equal(t, second, third, "once, and for what is asked now")
	says(third, "409", "Leadership Change")
	_, fourth := request()
	require.NotEqual(t, third, fourth)
	pending, _, err := asked.Pending()
	require.NoError(t, err)
	require.Zero(t, pending)
}

// TestALeaderIsAskedAgainOverAnotherRoute, and only one that is on the other end of it.
func TestALeaderIsAskedAgainOverAnotherRoute(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	server, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	t.Cleanup(server.Close)
	readers := make([]*reader, 3)
	asked := make([]*nats.Subscription, len(readers))
	for i := range readers {
		readers[i] = d.consume("/queue/" + string(rune('a'+i))).QueueReader.(*reader)
		asked[i], err = server.SubscribeSync(readers[i].next)
		require.NoError(t, err)
	}
	require.NoError(t, server.Flush())
	for i, q := range readers[:2] {
		q.Pull(2)
		_, err := asked[i].NextMsg(patience)
		require.NoError(t, err)
	}
	for i, leader := range []string{"n1", "n2", "n1"} {
		readers[i].mu.Lock()
		readers[i].leader = leader
		readers[i].mu.Unlock()
	}
	for _, q := range readers { // or it would be asked since its leader is another one
		q.known.mu.Lock()
		q.known.elected = q.leader
		q.known.mu.Unlock()
	}
	d.readers.routesMade([]string{"n1", "n3"})
	_, err = asked[0].NextMsg(patience)
	require.NoError(t, err)
	for _, quiet := range asked {
		pending, _, err := quiet.Pending()
		require.NoError(t, err)
		require.Zero(t, pending)
	}
}
