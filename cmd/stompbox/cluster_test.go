package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/testkit"
)

// clusterOf starts nodes whose embedded servers are joined by routes.
func clusterOf(t *testing.T, n int) (nodes []*process, restart func(i int)) {
	t.Helper()
	var routes, data []string
	for range n {
		address, err := freeAddress()
		require.NoError(t, err)
		routes, data = append(routes, address), append(data, t.TempDir())
	}
	nodes = make([]*process, n)
	restart = func(i int) {
		nodes[i] = serve(t, []string{
			"STOMPBOX_CLUSTER_LISTEN=" + routes[i], "STOMPBOX_CLUSTER_PEERS=" + strings.Join(routes, ","),
			"STOMPBOX_CLUSTER_NODE=n" + strconv.Itoa(i), "STOMPBOX_QUEUES_REPLICAS=3", "STOMPBOX_QUEUES_ACK_WAIT=2s",
		}, "--dev", "--data-dir", data[i])
	}
	for i := range n {
		restart(i)
	}
	// A queue can be used once the nodes have agreed on a leader.
	require.Eventually(t, func() bool {
		c := testkit.DialAddress(t, nodes[0].tcp).Connect()
		defer c.Close()
		c.Send(frames.SEND, "destination", "/queue/ready", "receipt", "r", "x")
		f, err := c.Next()
		return err == nil && f.Command == frames.RECEIPT
	}, testkit.Patience, 200*time.Millisecond)
	return nodes, restart
}

// TestAKilledNodeLosesNothingConfirmed: three nodes, each message on all of them.
func TestAKilledNodeLosesNothingConfirmed(t *testing.T) {
	nodes, restart := clusterOf(t, 3)

	// Topics cross the routes, from the RECEIPT of the SUBSCRIBE on.
	for i := range nodes {
		topic := "/topic/cross." + strconv.Itoa(i)
		c := testkit.DialAddress(t, nodes[i].tcp).Connect()
		c.Subscribe("t", topic)
		testkit.DialAddress(t, nodes[(i+1)%3].tcp).Connect().Send(frames.SEND, "destination", topic, "hello")
		c.Message("hello")
		c.Close()
	}

	confirmed := make(map[string]bool)
	for round := range 3 {
		victim := round
		sender := testkit.DialAddress(t, nodes[(victim+1)%3].tcp).Connect()
		doomed := testkit.DialAddress(t, nodes[victim].tcp).Connect()
		for i := range 200 {
			if i == 100 {
				nodes[victim].kill(t)
			}
			for k, c := range []*testkit.Client{sender, doomed} {
				id := fmt.Sprintf("%d.%d.%d", round, k, i)
				frame := frames.New(frames.SEND, "destination", "/queue/kept", "receipt", id, "dedup-id", id)
				frame.Body = []byte(id)
				if _, err := c.TryRaw(frames.Append(nil, frame, frames.V12)); err != nil {
					continue
				}
				f, err := c.Next()
				if err == nil && f.Command == frames.RECEIPT {
					confirmed[f.Get("receipt-id")] = true
				} else if k == 0 { // the leader died: the sender is told, and sends again
					sender = sendAgain(t, nodes[(victim+1)%3], frame)
					confirmed[id] = true
				}
			}
		}
		restart(victim)
	}
	t.Logf("%d messages were confirmed", len(confirmed))
	require.Greater(t, len(confirmed), 3*300-3)
	c := testkit.DialAddress(t, nodes[0].tcp).Connect()
	c.Send(frames.SUBSCRIBE, "id", "q", "destination", "/queue/kept", "ack", "client-individual")
	for len(confirmed) > 0 {
		f := c.Expect(frames.MESSAGE)
		delete(confirmed, string(f.Body))
		c.Send(frames.ACK, "id", f.Get("ack"))
	}
	for _, n := range nodes {
		n.stop(t)
	}
}

// sendAgain repeats a SEND on new connections until it is confirmed.
func sendAgain(t *testing.T, p *process, f *frames.Frame) (connected *testkit.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		connected = testkit.DialAddress(t, p.tcp).Connect()
		if _, err := connected.TryRaw(frames.Append(nil, f, frames.V12)); err != nil {
			return false
		}
		answer, err := connected.Next()
		return err == nil && answer.Command == frames.RECEIPT
	}, testkit.Patience, 100*time.Millisecond)
	return connected
}
