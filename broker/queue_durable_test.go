package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

var durable = []string{"durable", "true", "auto-delete", "false", "ack", "client"}

// TestADurableSubscriptionIsOfItsDestination: sessions of one user with one id, as
// STOMP.js gives them, get what each has named, and may have, on every node.
func TestADurableSubscriptionIsOfItsDestination(t *testing.T) {
	t.Parallel()
	histories := []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat.**", 100), test.History(t, "notes", "/user/*/notes", 100)}
	a := test.Start(t, test.Options{NATSPort: -1, Histories: histories})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: histories})
	all := auth.Grants{Subscribe: []string{"/topic/**", "/user/**"}}
	as := func(n *test.Node, grants auth.Grants) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "al.ice", time.Hour, grants))
	}
	full := as(a, all)
	full.Subscribe("sub-0", "/topic/chat.secret", durable...)
	user := as(b, all)
	user.Subscribe("sub-0", "/user/notes", durable...)
	for _, n := range []*test.Node{a, b} {
		small := as(n, auth.Grants{Subscribe: []string{"/topic/chat.open"}})
		small.Subscribe("sub-0", "/topic/chat.open", durable...)
		sender := test.Dial(t, n).Connect()
		for _, dest := range []string{"/topic/chat.secret", "/topic/chat.open", "/user/al.ice/notes"} {
			sender.Send(frames.SEND, "destination", dest, "receipt", "r", dest)
			sender.Receipt("r")
		}
		full.Message("/topic/chat.secret")
		f := small.Message("/topic/chat.open")
		user.Message("/user/al.ice/notes")
		small.Send(frames.ACK, "id", f.Get("ack"), "receipt", "a")
		small.Receipt("a")
		small.Quiet()
		small.Close()
		refused := as(n, auth.Grants{Subscribe: []string{"/topic/chat.open"}})
		refused.Send(frames.SUBSCRIBE, append([]string{"id", "sub-0", "destination", "/topic/chat.secret"}, durable...)...)
		refused.Error("no subscribe permission")
	}
	full.Quiet()
	user.Quiet()
}

// TestADurableSubscriptionIsNoOther: what it cannot do besides is refused, and durable:true
// alone asks for one.
func TestADurableSubscriptionIsNoOther(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat", 100)}})
	for header, value := range map[string]string{"auto-delete": "true", "last-event-id": "x", "replay-last": "1"} {
		c := test.Dial(t, n).Connect()
		c.Send(frames.SUBSCRIBE, "id", "d", "destination", "/topic/chat", "durable", "true", header, value)
		c.Error(header)
	}
	away := test.Dial(t, n).Connect()
	away.Subscribe("d", "/topic/chat", "durable", "true")
	away.Send(frames.DISCONNECT, "receipt", "bye")
	away.Receipt("bye")
	sender := test.Dial(t, n).Connect()
	sender.Send(frames.SEND, "destination", "/topic/chat", "receipt", "r", "missed")
	sender.Receipt("r")
	back := test.Dial(t, n).Connect()
	back.Subscribe("d", "/topic/chat", "durable", "true")
	back.Message("missed")
}

// TestADurableSubscriptionEnds with UNSUBSCRIBE and durable:true, also when the session
// is not subscribed to it.
func TestADurableSubscriptionEnds(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat.**", 100)}})
	sender := test.Dial(t, n).Connect()
	missed := func(end func(c *test.Client)) (bodies []string) {
		c := test.Dial(t, n).Connect()
		c.Subscribe("d", "/topic/chat.a", durable...)
		end(c)
		c.Close()
		sender.Send(frames.SEND, "destination", "/topic/chat.a", "receipt", "r", "missed")
		sender.Receipt("r")
		c = test.Dial(t, n).Connect()
		c.Subscribe("d", "/topic/chat.a", durable...)
		sender.Send(frames.SEND, "destination", "/topic/chat.a", "receipt", "r", "live")
		sender.Receipt("r")
		for {
			f := c.Expect(frames.MESSAGE)
			if bodies = append(bodies, string(f.Body)); string(f.Body) == "live" {
				c.Send(frames.ACK, "id", f.Get("ack"), "receipt", "a")
				c.Receipt("a")
				c.Close()
				return bodies
			}
		}
	}
	unsubscribe := func(c *test.Client, pairs ...string) {
		c.Send(frames.UNSUBSCRIBE, append(pairs, "id", "d", "receipt", "u")...)
		c.Receipt("u")
	}
	require.Equal(t, []string{"missed", "live"}, missed(func(*test.Client) {}))
	require.Equal(t, []string{"missed", "live"}, missed(func(c *test.Client) { unsubscribe(c) }))
	require.Equal(t, []string{"live"}, missed(func(c *test.Client) { unsubscribe(c, "durable", "true") }))
	require.Equal(t, []string{"live"}, missed(func(c *test.Client) {
		unsubscribe(c)
		unsubscribe(c, "durable", "true", "destination", "/topic/chat.a")
	}))
	require.Equal(t, []string{"missed", "live"}, missed(func(c *test.Client) {
		unsubscribe(c)
		unsubscribe(c, "durable", "true", "destination", "/topic/chat.b")
	}))
	c := test.Dial(t, n).Connect()
	c.Send(frames.UNSUBSCRIBE, "id", "d", "durable", "true")
	c.Error("needs the destination header")
}

// TestAFormerDurableSubscriptionGoesOn: one whose name had no destination in it keeps
// what it has for the pattern that it was made for, and for no other.
func TestAFormerDurableSubscriptionGoesOn(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: []driver.HistoryPolicy{test.History(t, "chat", "/topic/chat.**", 100)}})
	pattern, err := destination.ParsePattern("/topic/chat.a")
	require.NoError(t, err)
	former := driver.DurableSubscription{History: "chat", Name: "guest/d", Pattern: pattern}
	reader, err := n.Relay.Driver().Histories.OpenDurable(t.Context(), former, func(driver.Delivery) {})
	require.NoError(t, err)
	reader.Close(nil)
	sender := test.Dial(t, n).Connect()
	for _, dest := range []string{"/topic/chat.a", "/topic/chat.b"} {
		sender.Send(frames.SEND, "destination", dest, "receipt", "r", "before")
		sender.Receipt("r")
	}
	c := test.Dial(t, n).Connect()
	c.Subscribe("d", "/topic/chat.b", durable...)
	c.Quiet()
	c.Close()
	c = test.Dial(t, n).Connect()
	c.Subscribe("d", "/topic/chat.a", durable...)
	c.Message("before")
}

func TestDurableSubscriptionGetsWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: test.Histories(t)})
	sender := test.Dial(t, a).Connect()
	sender.SendKept("/topic/chat.d", "before")
	durable := []string{"durable", "true", "auto-delete", "false", "ack", "client-individual"}
	c := test.Dial(t, a).Connect()
	c.Subscribe("d", "/topic/chat.*", durable...)
	sender.SendKept("/topic/chat.d", "1")
	sender.SendKept("/topic/chat/d", "of another pattern")
	sender.SendKept("/topic/chat.d", "2")
	c.Send(frames.ACK, "id", c.Message("1").Get("ack"), "receipt", "acked")
	c.Message("2")
	c.Receipt("acked")
	c.Close()
	require.Eventually(t, func() bool { return a.Broker.Stats().Sessions == 1 }, test.Patience, 10*time.Millisecond)
	sender.SendKept("/topic/chat.d", "3")

	again := test.Dial(t, b).Connect()
	again.Subscribe("d", "/topic/chat.*", durable...)
	seen := make(map[string]*frames.Frame)
	for range 2 {
		f := again.Expect(frames.MESSAGE)
		seen[string(f.Body)] = f
		again.Send(frames.ACK, "id", f.Get("ack"))
	}
	require.Equal(t, "true", seen["2"].Get("redelivered"))
	require.Empty(t, seen["3"].Get("redelivered"))
	again.Send(frames.UNSUBSCRIBE, "id", "d", "durable", "true", "auto-delete", "false", "receipt", "gone")
	again.Receipt("gone")
	sender.SendKept("/topic/chat.d", "4")
	again.Subscribe("d", "/topic/chat.*", durable...)
	sender.SendKept("/topic/chat.d", "5")
	again.Message("5")
	again.Quiet()

	// Another user's of the same id is another one.
	eve := test.Dial(t, a).Connect("Authorization", "Bearer "+test.Token(t, "eve", time.Hour, auth.Grants{}))
	eve.Subscribe("d", "/topic/chat.*", durable...)
	sender.SendKept("/topic/chat.d", "6")
	eve.Message("6")
	again.Message("6")
}

// TestADurableSubscriptionKeepsItsOrderAfterASilentDrop: the client comes back, on this node
// or on another one, while the broker does not know yet that its connection is lost.
func TestADurableSubscriptionKeepsItsOrderAfterASilentDrop(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: test.Histories(t)})
	for name, c := range map[string]struct{ former, later *test.Node }{"the same node": {b, b}, "another node": {a, b}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := "/topic/chat." + strings.ReplaceAll(name, " ", "-")
			sender := test.Dial(t, a).Connect()
			former := test.Dial(t, c.former).Connect() // which reads nothing, and so answers no ping
			former.Subscribe("d", topic, durable...)
			send := func(n int) { sender.SendKept(topic, strconv.Itoa(n)) }
			for n := range 10 {
				send(n)
			}
			for n := range 10 {
				former.Message(strconv.Itoa(n)) // and acknowledges none
			}
			later := test.Dial(t, c.later).Connect()
			later.Subscribe("d", topic, durable...)
			for n := range 10 {
				send(10 + n)
			}
			for n := range 20 {
				f := later.Message(strconv.Itoa(n))
				if redelivered := f.Get("redelivered") == "true"; n < 10 || c.former == c.later {
					require.Equal(t, n < 10, redelivered, "%d", n) // the former node may have had the others
				}
				later.Send(frames.ACK, "id", f.Get("ack"))
			}
			for ended := false; !ended; {
				next, err := former.Next()
				require.NoError(t, err)
				ended = next.Command == frames.ERROR
				require.True(t, ended || next.Command == frames.MESSAGE, "it may have got some before it was asked")
			}
			later.Quiet()
		})
	}
}

// TestConnectionsThatAreThereShareADurableSubscription: one that answers goes on.
func TestConnectionsThatAreThereShareADurableSubscription(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: test.Histories(t)})
	sender := test.Dial(t, a).Connect()
	got := make(chan string, 100)
	for i, n := range []*test.Node{a, a, b} {
		c := test.Dial(t, n).Connect()
		c.Subscribe("d", "/topic/chat.shared", append([]string{"prefetch-count", "1"}, durable...)...)
		go func() {
			for {
				f, err := c.Next()
				if err != nil {
					return
				}
				if f.Command != frames.MESSAGE {
					t.Errorf("%d got %s %v", i, f.Command, f.Headers)
					return
				}
				ack := frames.New(frames.ACK, "id", f.Get("ack"))
				if _, err := c.TryRaw(frames.Append(nil, ack, frames.V12)); err != nil {
					t.Error(err)
				}
				got <- string(f.Body) // the test may end with the last of them
			}
		}()
	}
	seen := make(map[string]int)
	for n := range 60 {
		sender.SendKept("/topic/chat.shared", strconv.Itoa(n))
	}
	for range 60 {
		seen[<-got]++
	}
	require.Len(t, seen, 60)
	require.Equal(t, int64(4), a.Broker.Stats().Sessions+b.Broker.Stats().Sessions)
}

// TestADurableSubscriptionTellsWhatItsHistoryDropped while its client was away.
func TestADurableSubscriptionTellsWhatItsHistoryDropped(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	sender := test.Dial(t, n).Connect()
	for _, pattern := range []string{"/topic/short.a", "/topic/short.*"} {
		for _, sent := range []int{3, 9} { // of which 5 are kept
			c := test.Dial(t, n).Connect()
			c.Subscribe("d", pattern, durable...)
			if pattern == "/topic/short.*" {
				sender.SendKept("/topic/short.a", "before")
				c.Send(frames.ACK, "id", c.Message("before").Get("ack"), "receipt", "acked")
				c.Receipt("acked")
			}
			c.Close()
			require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 1 }, test.Patience, time.Millisecond)
			for i := range sent {
				sender.SendKept("/topic/short.a", strconv.Itoa(i))
			}
			c = test.Dial(t, n).Connect()
			c.Subscribe("d", pattern, durable...)
			for i := max(0, sent-5); i < sent; i++ {
				f := c.Message(strconv.Itoa(i))
				require.Equal(t, sent > 5 && i == sent-5, f.Get("replay") == "incomplete", "%s: %d of %d", pattern, i, sent)
				c.Send(frames.ACK, "id", f.Get("ack"))
			}
			c.Send(frames.UNSUBSCRIBE, "id", "d", "durable", "true", "receipt", "ended")
			c.Receipt("ended")
			c.Close()
		}
	}
}

// TestADurableSubscriptionTellsWhatItsHistoryDropsWhileItsClientIsSlow, though it is connected.
func TestADurableSubscriptionTellsWhatItsHistoryDropsWhileItsClientIsSlow(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	sender := test.Dial(t, n).Connect()
	for _, pattern := range []string{"/topic/short.a", "/topic/short.*"} {
		for _, sent := range []int{3, 9} { // of which 5 are kept, where the client has one unacknowledged
			t.Run(fmt.Sprintf("%s %d", pattern, sent), func(t *testing.T) {
				c := test.Dial(t, n).Connect()
				c.Subscribe("d", pattern, append([]string{"prefetch-count", "1"}, durable...)...)
				for range 2 { // the second time something was dropped before
					sender.SendKept("/topic/short.a", "before")
					f := c.Message("before")
					require.Empty(t, f.Get("replay"))
					for i := range sent {
						sender.SendKept("/topic/short.a", strconv.Itoa(i))
					}
					gaps := 0
					for last := -1; last < sent-1; { // the node may have asked for the first one before
						c.Send(frames.ACK, "id", f.Get("ack"))
						f = c.Expect(frames.MESSAGE)
						i, err := strconv.Atoi(string(f.Body))
						require.NoError(t, err)
						require.Equal(t, i > last+1, f.Get("replay") == "incomplete", "%d after %d", i, last)
						if i > last+1 {
							gaps++
						}
						last = i
					}
					require.Equal(t, sent > 5, gaps == 1, "%d gaps", gaps)
					c.Send(frames.ACK, "id", f.Get("ack"))
				}
				c.Send(frames.UNSUBSCRIBE, "id", "d", "durable", "true", "receipt", "ended")
				c.Receipt("ended")
				c.Close()
			})
		}
	}
}
