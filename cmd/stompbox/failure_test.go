package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// kills is how many nodes are killed in TestTenKilledNodesLoseAndRepeatNothing.
const kills = 10

// TestTenKilledNodesLoseAndRepeatNothing kills one node after the other of three
// while publishers send to a history topic and to a queue: subscribers with
// last-event-id see everything that was confirmed, in order and once; the queue
// loses nothing that was confirmed.
func TestTenKilledNodesLoseAndRepeatNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	c := clusterOf(t, 3, nil, "-c", historyConfig(t, 3))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := startLoad(ctx, t, c, time.Millisecond)
	for range kills {
		time.Sleep(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		victim := rand.IntN(3)
		c.node(victim).kill(t)
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		c.start(victim)
		for i := range 3 {
			c.node(i).ready(t)
		}
	}
	l.stopSending(t)
	connections := 0
	for _, f := range l.followers {
		f.sawAll(t, l.topic.next)
		connections += f.links
	}
	t.Logf("%d followers made %d connections", len(l.followers), connections)
	require.Greater(t, connections, len(l.followers), "some of them were on nodes that were killed")
	cancel()
	l.following.Wait()

	rest := consumeAgain(t, c.node(0), "/queue/load")
	consume(rest, numbers(l.queue.next))
	rest.Close()
	c.stop()
}

// TestRollingRestartMissesNothing restarts three nodes, one after the other, under
// 500 clients that follow a history topic and come back as STOMP.js does.
func TestRollingRestartMissesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const clients = 500
	c := clusterOf(t, 3, []string{"STOMPBOX_DRAIN_WINDOW=2s", "STOMPBOX_LOG_LEVEL=warn"}, "-c", historyConfig(t, 3))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followers := make([]*follower, clients)
	for i := range followers {
		followers[i] = &follower{nodes: c.node, topic: "/topic/kept.room", webSocket: true}
	}
	room := &publisher{nodes: c.node, destination: "/topic/kept.room"}
	running := follow(ctx, t, followers, room.publish)
	stop := publishing(ctx, 50*time.Millisecond, room)
	for i := range 3 {
		c.node(i).stop(t) // SIGTERM, and exit code 0
		c.start(i)
		for k := range 3 {
			c.node(k).ready(t)
		}
	}
	stop()
	connections := 0
	for _, f := range followers {
		f.sawAll(t, room.next)
		connections += f.links
	}
	t.Logf("%d messages, %d tried again; %d clients made %d connections", room.next, room.retries, clients, connections)
	require.Greater(t, connections, clients)
	cancel()
	running.Wait()
	c.stop()
}

// TestEverythingHealsAfterNATSWasAway kills the process in which NATS is, and
// starts it again on its data, under a broker that uses it from outside.
func TestEverythingHealsAfterNATSWasAway(t *testing.T) {
	address := test.Address(t)
	data, file := t.TempDir(), historyConfig(t, 1)
	hub := serve(t, nil, "--dev", "--nats-listen", address, "--data-dir", data, "-c", file)
	node := serve(t, nil, "--dev", "--nats", "nats://"+address, "-c", file)
	node.ready(t)
	local, kept := test.DialAddress(t, node.tcp).Connect(), test.DialAddress(t, node.tcp).Connect()
	local.Subscribe("s", "/topic/local")
	kept.Subscribe("s", "/topic/kept.a")
	before := &publisher{nodes: func(int) *process { return hub }, destination: "/topic/kept.a"}
	before.publish(t.Context())
	kept.Message("0")

	hub.kill(t)
	require.Eventually(t, func() bool {
		status, _ := get(t, "http://"+node.http+"/readyz")
		return status == 503
	}, test.Patience, 10*time.Millisecond)
	local.Send(frames.SEND, "destination", "/topic/local", "receipt", "r", "goes on")
	local.Message("goes on")
	local.Receipt("r")
	for _, destination := range []string{"/queue/a", "/topic/kept.a"} {
		c := test.DialAddress(t, node.tcp).Connect()
		start := time.Now()
		c.Send(frames.SEND, "destination", destination, "x")
		f := c.Error("the message store is not available")
		require.NotEmpty(t, f.Get("retry-after"))
		require.Less(t, time.Since(start), 5*time.Second, "at once, and not at a timeout")
	}

	// What is sent on other nodes before this one is back is not lost to it.
	again := serve(t, nil, "--dev", "--nats-listen", address, "--data-dir", data, "-c", file)
	after := &publisher{nodes: func(int) *process { return again }, destination: "/topic/kept.a", next: 1}
	for range 20 {
		after.publish(t.Context())
	}
	for i := range 20 {
		kept.Message(strconv.Itoa(i + 1))
	}
	node.ready(t)
	c := test.DialAddress(t, node.tcp).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "x")
	c.Receipt("r")
	local.Quiet()
	require.NoError(t, node.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, node.cmd.Wait())
	again.stop(t)
}
