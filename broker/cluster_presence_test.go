package broker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// presenceEvent wants a presence message, and returns it without its list.
func presenceEvent(c *test.Client) broker.PresenceEvent {
	f := c.Expect(frames.MESSAGE)
	var e broker.PresenceEvent
	if json.Unmarshal(f.Body, &e) != nil || e.Type != f.Get("event") {
		return broker.PresenceEvent{Type: "not an event: " + string(f.Body)}
	}
	return e
}

func TestPresenceTellsJoinsAndLeavesOnAllNodes(t *testing.T) {
	t.Parallel()
	o := broker.Options{Presence: []destination.Pattern{mustPattern(t, "/topic/chat.*")}}
	a := test.Start(t, test.Options{NATSPort: -1, Broker: o})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Broker: o})
	as := func(n *test.Node, user string, grants auth.Grants) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, grants))
	}
	watcher, everything := as(a, "watcher", auth.Grants{}), as(a, "watcher", auth.Grants{})
	everything.Subscribe("s", "/topic/**")
	watcher.Subscribe("p", "/topic/$presence/chat.lobby")
	event := func(kind, user string, count int) broker.PresenceEvent {
		return broker.PresenceEvent{Type: kind, Destination: "/topic/chat.lobby", User: user, Count: count}
	}
	empty := presenceEvent(watcher)
	require.Equal(t, "present", empty.Type)
	require.NotNil(t, empty.Users, "an empty room has an empty list, not none")
	require.Empty(t, empty.Users)
	alice1, alice2, bob := as(a, "alice", auth.Grants{}), as(b, "alice", auth.Grants{}), as(b, "bob", auth.Grants{})
	alice1.Subscribe("s", "/topic/chat.lobby")
	require.Equal(t, event("join", "alice", 1), presenceEvent(watcher))
	alice2.Subscribe("s", "/topic/chat.lobby")
	alice2.Subscribe("again", "/topic/chat.lobby")
	bob.Subscribe("s", "/topic/chat.lobby")
	require.Equal(t, event("join", "bob", 2), presenceEvent(watcher))

	late := as(b, "late", auth.Grants{})
	late.Subscribe("p", "/topic/$presence/chat.*") // a pattern gets no list
	late.Subscribe("q", "/topic/$presence/chat.lobby")
	list := presenceEvent(late)
	require.Equal(t, []string{"alice", "bob"}, list.Users)
	require.Equal(t, 2, list.Count)

	alice1.Close() // she is still there, on the other node
	require.Eventually(t, func() bool { return a.Broker.Stats().Sessions == 2 }, test.Patience, 10*time.Millisecond)
	alice2.Send(frames.UNSUBSCRIBE, "id", "s")
	bob.Send(frames.UNSUBSCRIBE, "id", "s")
	require.Equal(t, event("leave", "bob", 1), presenceEvent(watcher))
	alice2.Close()
	require.Equal(t, event("leave", "alice", 0), presenceEvent(watcher))
	for range 2 { // once for each of its subscriptions
		require.Equal(t, "leave", presenceEvent(late).Type)
	}
	everything.Quiet()
	watcher.Quiet()

	// A permission to read the room is one to see who is in it; there is no other way.
	for dest, says := range map[string]string{
		"/topic/$presence/chat.secret": "no subscribe permission",
		"/topic/$presence/news":        "presence is not enabled for this topic",
		"/topic/$sys":                  "no such topic",
	} {
		c := as(a, "eve", auth.Grants{Subscribe: []string{"/topic/chat.lobby", "/topic/$presence/**"}})
		c.Send(frames.SUBSCRIBE, "id", "s", "destination", dest)
		c.Error(says)
	}
	allowed := as(a, "eve", auth.Grants{Subscribe: []string{"/topic/chat.lobby"}})
	allowed.Subscribe("s", "/topic/$presence/chat.lobby")
	require.Equal(t, "present", presenceEvent(allowed).Type)
}

func mustPattern(t testing.TB, text string) destination.Pattern {
	t.Helper()
	p, err := destination.ParsePattern(text)
	require.NoError(t, err)
	return p
}
