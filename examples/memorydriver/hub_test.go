package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/driver/drivertest"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

func TestHubIsABus(t *testing.T) {
	t.Parallel()
	drivertest.TestBus(t, func(t *testing.T) (a, b driver.Bus) {
		hub := NewHub()
		first, second := hub.Join(), hub.Join()
		t.Cleanup(first.Close)
		t.Cleanup(second.Close)
		return first, second
	})
}

// TestASlowNodeMissesMessages: a node that does not keep up holds up no publisher, which
// is informed.
func TestASlowNodeMissesMessages(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	fast, slow := hub.Join(), hub.Join()
	release := make(chan struct{})
	t.Cleanup(fast.Close)
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	_, err := slow.Subscribe("/topic/much", func(*driver.Message) { <-release })
	require.NoError(t, err)
	for range maxWaiting + 2 {
		err = fast.Publish(&driver.Message{Key: "/topic/much"})
	}
	require.ErrorIs(t, err, driver.ErrUnavailable)
}

// start runs a node and returns a client that is connected to it.
func start(t *testing.T, hub *Hub) *test.Client {
	t.Helper()
	node := hub.Join()
	t.Cleanup(node.Close)
	b, err := newBroker(node)
	require.NoError(t, err)
	server := httptest.NewServer(gateway.NewWebSocket(b, gateway.WebSocketOptions{}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
	return test.DialWebSocket(t, "ws"+strings.TrimPrefix(server.URL, "http")).Connect("login", "guest", "passcode", "guest")
}

func TestTwoNodesShareTopicsAndRefuseQueues(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	ann, ben := start(t, hub), start(t, hub)
	ben.Subscribe("1", "/topic/**")
	ann.Send(frames.SEND, "destination", "/topic/news", "hello")
	require.Equal(t, "/topic/news", ben.Message("hello").Get("destination"))

	ann.Send(frames.SEND, "destination", "/queue/jobs", "a job")
	require.Contains(t, string(ann.Expect(frames.ERROR).Body), "queue")
}
