package relay_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/internal/test/local"
	"github.com/stompbox/stompbox/relay"
)

func TestMain(m *testing.M) { local.CheckLeaks(m) }

func TestSubjectsAreOneToOne(t *testing.T) {
	t.Parallel()
	for destination, subject := range map[string]string{
		"/topic/chat.room1":   "stompbox.topic.chat.room1",
		"/topic/chat/room1":   "stompbox.topic.chat./room1",
		"/user/alice/queue/x": "stompbox.user.alice./queue./x",
		"/topic/a b*>%":       "stompbox.topic.a%20b%2A%3E%25",
		"/topic/a..b":         "stompbox.topic.a.%00.b",
		"/topic/a//b":         "stompbox.topic.a././b",
		"/topic/größe":        "stompbox.topic.größe",
		"/topic/bob@x.org/a":  "stompbox.topic.bob@x.org./a",
		"/user/bob@x.org/a.b": "stompbox.user.bob@x%2Eorg./a.b",
		"/user/a%2Fb/q":       "stompbox.user.a%2Fb./q",
		"/user/a%2525/q":      "stompbox.user.a%2525./q",
		"/user/a b/q":         "stompbox.user.a%20b./q",
		"/user/./q":           "stompbox.user.%2E./q",
		"/user//q":            "stompbox.user.%00./q",
	} {
		require.Equal(t, subject, relay.Subject("stompbox", destination))
		back, ok := relay.Destination("stompbox", subject)
		require.True(t, ok)
		require.Equal(t, destination, back)
	}
	require.Equal(t, []string{"s.topic.chat", "s.topic.chat.>"}, relay.PatternSubjects("s", "/topic/chat.**"))
	require.Equal(t, []string{"s.topic.>"}, relay.PatternSubjects("s", "/topic/**"))
	require.Equal(t, []string{"s.topic.chat.>"}, relay.PatternSubjects("s", "/topic/chat/>"))
	require.Equal(t, []string{"s.user.*./queue./x"}, relay.PatternSubjects("s", "/user/*/queue/x"))
	require.Equal(t, []string{"s.user.*", "s.user.*.>"}, relay.PatternSubjects("s", "/user/*/**"))
	require.Equal(t, []string{"s.user.bob@x%2Eorg./queue.*"}, relay.PatternSubjects("s", "/user/bob@x.org/queue.*"))
	require.Equal(t, []string{"s.topic.*.news"}, relay.PatternSubjects("s", "/topic/*.news"))
}

// FuzzSubject: every destination has a valid subject of its own, and comes back.
func FuzzSubject(f *testing.F) {
	f.Add("/topic/a.b/c")
	f.Add("/topic/../%00/ x*")
	f.Add("bob@example.com/a%2fb")
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsRune(name, 0) || !utf8.ValidString(name) {
			return // no header has one
		}
		for _, dest := range []string{"/topic/" + name, destination.Canonical("/user/" + name + "/q")} {
			if destination.HasWildcard(dest) && strings.HasPrefix(dest, "/user/") {
				continue // Canonical leaves it as it is, and no name has one
			}
			subject := relay.Subject("p", dest)
			for _, word := range strings.Split(subject, ".") {
				require.NotEmpty(t, word)
				require.False(t, strings.ContainsAny(word, " \t\r\n*>"), "%q", subject)
			}
			back, ok := relay.Destination("p", subject)
			require.True(t, ok)
			require.Equal(t, dest, back)
		}
	})
}

// pair is two nodes that share one NATS server.
func pair(t *testing.T) (a, b *test.Node) {
	a = test.Start(t, test.Options{NATSPort: -1})
	return a, test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
}

func TestTopicsCrossNodesInOrderOnceAndWithHeaders(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	near, far, wide, none := test.Dial(t, a).Connect(), test.Dial(t, b).Connect(), test.Dial(t, b).Connect(), test.Dial(t, b).Connect()
	near.Subscribe("s", "/topic/chat.room1")
	far.Subscribe("s", "/topic/chat.room1")
	wide.Subscribe("s", "/topic/chat.**")
	none.Subscribe("s", "/topic/chat/*")
	sender := test.DialTCP(t, a).Connect()
	const count = 500
	binary := string([]byte{0, 255, 10, 0})
	for i := range count {
		sender.Send(frames.SEND, "destination", "/topic/chat.room1", "odd name\n", " spaced\r\nvalue% ", "n", fmt.Sprint(i), binary)
	}
	for _, c := range []*test.Client{near, far, wide} {
		var id string
		for i := range count {
			f := c.Message(binary)
			require.Equal(t, fmt.Sprint(i), f.Get("n"))
			require.Equal(t, " spaced\r\nvalue% ", f.Get("odd name\n"))
			require.Equal(t, "guest", f.Get("user"))
			require.Equal(t, sender.Connected.Get("session"), f.Get("session"))
			require.Equal(t, "/topic/chat.room1", f.Get("destination"))
			require.NotEqual(t, id, f.Get("message-id"))
			id = f.Get("message-id")
		}
		require.Equal(t, 2, c.LastType(), "bodies with NULs travel in binary messages")
		c.Quiet()
	}
	none.Quiet()
}

func TestUserMessagesCrossNodes(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	as := func(n *test.Node, user string) *test.Client {
		c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
		c.Subscribe("s", "/user/queue/x")
		return c
	}
	one, two, bob := as(a, "al.ice/*"), as(b, "al.ice/*"), as(a, "bob")
	bob.Send(frames.SEND, "destination", "/user/al.ice%2F%2A/queue/x", "both")
	require.Equal(t, "/user/queue/x", one.Message("both").Get("destination"))
	require.Equal(t, "/user/queue/x", two.Message("both").Get("destination"))
	bob.Send(frames.SEND, "destination", "/user/al.ice%2F%2A/queue/x", "session", two.Connected.Get("session"), "one")
	two.Message("one")
	one.Quiet()
	bob.Quiet()
}

func TestNativeNATSProgramsAreWelcome(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/chat.room1")
	require.NoError(t, nc.Publish("stompbox.topic.chat.room1", []byte("bare")))
	f := c.Message("bare")
	require.Equal(t, "/topic/chat.room1", f.Get("destination"))
	require.NotEmpty(t, f.Get("message-id"))
	require.NotEmpty(t, f.Get("timestamp"))

	sub, err := nc.SubscribeSync("stompbox.topic.>")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	c.Send(frames.SEND, "destination", "/topic/news/today", "content-type", "text/plain", "hello NATS")
	msg, err := sub.NextMsg(5 * time.Second)
	require.NoError(t, err)
	require.Equal(t, "stompbox.topic.news./today", msg.Subject)
	require.Equal(t, "hello NATS", string(msg.Data))
	require.Equal(t, "/topic/news/today", msg.Header.Get("destination"))
	require.Equal(t, "text/plain", msg.Header.Get("content-type"))
	require.Equal(t, "guest", msg.Header.Get("user"))
}

// TestReceiptOfSubscribeMeansThatOtherNodesReachIt subscribes and publishes
// elsewhere at once, many times.
func TestReceiptOfSubscribeMeansThatOtherNodesReachIt(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	reader, sender := test.Dial(t, a).Connect(), test.Dial(t, b).Connect()
	for i := range 200 {
		destination := fmt.Sprintf("/topic/fresh.%d", i)
		reader.Subscribe(fmt.Sprint(i), destination)
		sender.Send(frames.SEND, "destination", destination, destination)
		reader.Message(destination)
	}
}

func TestALocalTopicGoesOnWithoutNATS(t *testing.T) {
	t.Parallel()
	hub := test.Start(t, test.Options{NATSPort: -1})
	r, err := relay.Dial(relay.Options{URL: hub.Relay.ClientURL()})
	require.NoError(t, err)
	require.True(t, r.Ready())
	r.Close()
	require.False(t, r.Ready())
	require.Error(t, r.Driver().Bus.Publish(&driver.Message{Key: "/topic/a", Destination: "/topic/a"}))
	_, err = relay.Dial(relay.Options{URL: "nats://127.0.0.1:1"})
	require.ErrorContains(t, err, "cannot connect to NATS (dial tcp 127.0.0.1:1: connect: connection refused)")

	b := test.Start(t, test.Options{NATSURL: hub.Relay.ClientURL()})
	c := test.Dial(t, b).Connect()
	c.Subscribe("s", "/topic/local")
	hub.Relay.Close()
	require.Eventually(t, func() bool { return !b.Relay.Ready() }, 5*time.Second, 10*time.Millisecond)
	c.Send(frames.SEND, "destination", "/topic/local", "receipt", "r", "still here")
	c.Message("still here")
	c.Receipt("r")
	c.Subscribe("t", "/topic/other")
	c.Quiet()

	// What needs a guarantee is refused at once.
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "q", "x")
	f := c.Error("the message store is not available")
	require.Equal(t, "q", f.Get("receipt-id"))
	require.NotEmpty(t, f.Get("retry-after"))
	d := test.Dial(t, b).Connect()
	d.Send(frames.SUBSCRIBE, "id", "q", "destination", "/queue/a")
	d.Error("cannot be consumed at the moment")
}

func TestLargeMessagesCrossNodes(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	c := test.Dial(t, b).Connect()
	c.Subscribe("s", "/topic/large")
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 4<<16))
	test.Dial(t, a).Connect().Send(frames.SEND, "destination", "/topic/large", body)
	c.Message(body)
}
