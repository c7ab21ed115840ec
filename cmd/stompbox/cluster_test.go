package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// cluster is nodes whose embedded servers are joined by routes.
type cluster struct {
	t            *testing.T
	routes, data []string
	env, args    []string
	program      string // of the nodes that are started

	mu    sync.Mutex
	nodes []*process
}

// clusterOf starts n nodes, and returns when they have agreed on a leader.
func clusterOf(t *testing.T, n int, env []string, args ...string) *cluster {
	t.Helper()
	return clusterWith(t, n, os.Args[0], env, args...)
}

// clusterWith is clusterOf for another program.
func clusterWith(t *testing.T, n int, program string, env []string, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, env: env, args: args, program: program, nodes: make([]*process, n)}
	for range n {
		address := test.Address(t)
		c.routes, c.data = append(c.routes, address), append(c.data, t.TempDir())
	}
	for i := range n {
		c.start(i)
	}
	for i := range n {
		c.node(i).ready(t)
	}
	return c
}

// node returns a node, counted around.
func (c *cluster) node(i int) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i%len(c.nodes)]
}

// start starts a node, again if it ran before.
func (c *cluster) start(i int) {
	c.t.Helper()
	env := append([]string{
		"STOMPBOX_CLUSTER_LISTEN=" + c.routes[i], "STOMPBOX_CLUSTER_PEERS=" + strings.Join(c.routes, ","),
		"STOMPBOX_CLUSTER_NODE=n" + strconv.Itoa(i), "STOMPBOX_QUEUES_REPLICAS=3", "STOMPBOX_QUEUES_ACK_WAIT=2s",
	}, c.env...)
	p := serveWith(c.t, c.program, env, append([]string{"--dev", "--data-dir", c.data[i]}, c.args...)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = p
}

// stop ends all nodes.
func (c *cluster) stop() {
	for i := range c.nodes {
		c.node(i).stop(c.t)
	}
}

// TestAKilledNodeLosesNothingConfirmed: three nodes, each message on all of them.
func TestAKilledNodeLosesNothingConfirmed(t *testing.T) {
	all := clusterOf(t, 3, nil)
	nodes := all.nodes

	// Topics cross the routes, from the RECEIPT of the SUBSCRIBE on.
	for i := range nodes {
		topic := "/topic/cross." + strconv.Itoa(i)
		c := test.DialAddress(t, nodes[i].tcp).Connect()
		c.Subscribe("t", topic)
		test.DialAddress(t, nodes[(i+1)%3].tcp).Connect().Send(frames.SEND, "destination", topic, "hello")
		c.Message("hello")
		c.Close()
	}

	confirmed := make(map[string]bool)
	for round := range 3 {
		victim := round
		sender := test.DialAddress(t, nodes[(victim+1)%3].tcp).Connect()
		doomed := test.DialAddress(t, nodes[victim].tcp).Connect()
		for i := range 200 {
			if i == 100 {
				nodes[victim].kill(t)
			}
			for k, c := range []**test.Client{&sender, &doomed} {
				id := fmt.Sprintf("%d.%d.%d", round, k, i)
				frame := frames.New(frames.SEND, "destination", "/queue/kept", "receipt", id, "dedup-id", id)
				frame.Body = []byte(id)
				if _, err := (*c).TryRaw(frames.Append(nil, frame, frames.V12)); err == nil {
					f, err := (*c).Next()
					if err == nil && f.Command == frames.RECEIPT {
						confirmed[f.Get("receipt-id")] = true
						continue
					}
				}
				// While a leader is chosen senders get an ERROR, and send again, where their node lives.
				if k == 0 || i < 100 {
					*c = sendAgain(t, nodes[(victim+1-k)%3], frame)
					confirmed[id] = true
				}
			}
		}
		all.start(victim)
	}
	t.Logf("%d messages were confirmed", len(confirmed))
	require.Greater(t, len(confirmed), 3*300-3)
	for i := range nodes {
		all.node(i).ready(t)
	}
	consume(consumeAgain(t, nodes[0], "/queue/kept"), confirmed)
	all.stop()
}

// sendAgain repeats a SEND on new connections until it is confirmed.
func sendAgain(t *testing.T, p *process, f *frames.Frame) (connected *test.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		connected = test.DialAddress(t, p.tcp).Connect("login", "guest", "passcode", cmp.Or(p.passcode, "guest"))
		if _, err := connected.TryRaw(frames.Append(nil, f, frames.V12)); err != nil {
			return false
		}
		answer, err := connected.Next()
		return err == nil && answer.Command == frames.RECEIPT
	}, test.Patience, 100*time.Millisecond)
	return connected
}

// subscribeAgain subscribes once that is possible, as clients do: a subscriber gets an
// ERROR, too, while another leader is chosen.
func subscribeAgain(t *testing.T, p *process, id, destination string, pairs ...string) (subscribed *test.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		c := test.DialAddress(t, p.tcp).Connect("login", "guest", "passcode", cmp.Or(p.passcode, "guest"))
		answer, err := c.TrySubscribe(id, destination, pairs...)
		if err != nil || answer.Command != frames.RECEIPT {
			c.Close() // what it was given goes back
			return false
		}
		subscribed = c
		return true
	}, test.Patience, 100*time.Millisecond)
	return subscribed
}

// consumeAgain subscribes to a queue once that is possible.
func consumeAgain(t *testing.T, p *process, queue string) *test.Client {
	t.Helper()
	return subscribeAgain(t, p, "q", queue, "ack", "client-individual")
}

// consume acknowledges messages until all of some bodies came.
func consume(c *test.Client, bodies map[string]bool) {
	for len(bodies) > 0 {
		f, err := c.Next()
		if err != nil {
			c.Fail("%d messages are missing: %v", len(bodies), err)
		}
		if f.Command == frames.RECEIPT {
			continue
		}
		if f.Command != frames.MESSAGE {
			c.Fail("%d messages are missing: %s %v", len(bodies), f.Command, f.Headers)
		}
		delete(bodies, string(f.Body))
		c.Send(frames.ACK, "id", f.Get("ack"))
	}
}
