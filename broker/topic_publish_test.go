package broker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestTopicReachesEverySubscriberOnce(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	exact, pattern, all, tcp := test.Dial(t, n).Connect(), test.Dial(t, n).Connect(), test.Dial(t, n).Connect(), test.DialTCP(t, n).Connect()
	exact.Subscribe("a", "/topic/chat.room1")
	pattern.Subscribe("b", "/topic/chat.*")
	all.Subscribe("c", "/topic/**")
	tcp.Subscribe("d", "/topic/chat.room1")
	sender := test.Dial(t, n).Connect()
	sender.Send(frames.SEND, "destination", "/topic/chat.room1", "receipt", "1", "colour", "re:d", "user", "mallory", "session", "x", "message-id", "forged", "subscription", "forged", "timestamp", "1", "hello")
	sender.Receipt("1")
	for id, c := range map[string]*test.Client{"a": exact, "b": pattern, "c": all, "d": tcp} {
		f := c.Message("hello")
		require.Equal(t, id, f.Get("subscription"))
		require.Equal(t, "/topic/chat.room1", f.Get("destination"))
		require.Equal(t, "re:d", f.Get("colour"))
		require.Equal(t, "guest", f.Get("user"), "stamped by the broker")
		require.Equal(t, sender.Connected.Get("session"), f.Get("session"))
		require.NotEqual(t, "forged", f.Get("message-id"))
		require.NotEqual(t, "1", f.Get("timestamp"))
		require.Empty(t, f.Get("receipt"))
		c.Quiet()
	}
	sender.Send(frames.SEND, "destination", "/topic/chat/room1", "receipt", "2", "slash")
	sender.Receipt("2")
	all.Message("slash")
	exact.Quiet()
	pattern.Quiet()
}

func TestUserMessagesReachAllSessionsOfAUser(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	as := func(user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
	}
	first, second, bob := as("al/ice"), as("al/ice"), as("bob")
	for _, c := range []*test.Client{first, second, bob} {
		c.Subscribe("q", "/user/queue/chat")
	}
	bob.Send(frames.SEND, "destination", "/user/al%2Fice/queue/chat", "both")
	for _, c := range []*test.Client{first, second} {
		f := c.Message("both")
		require.Equal(t, "/user/queue/chat", f.Get("destination"))
		require.Equal(t, "bob", f.Get("user"))
	}
	bob.Send(frames.SEND, "destination", "/user/al%2Fice/queue/chat", "session", second.Connected.Get("session"), "one")
	second.Message("one")
	first.Quiet()
	bob.Quiet()
	bob.Send(frames.SEND, "destination", "/user/bob", "x")
	bob.Error("/user/<user>/<name>")
}
