package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestReplayJoinsLiveWithoutGapOrTwice subscribes again and again, on two nodes,
// while publishers keep sending.
func TestReplayJoinsLiveWithoutGapOrTwice(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: test.Histories(t)})
	first := test.Dial(t, a).Connect()
	first.Subscribe("s", "/topic/chat.**") // whose ids are good for all that it takes in
	test.Dial(t, a).Connect().SendKept("/topic/chat.busy", "begin")
	begin := first.Message("begin").Get("message-id")
	const publishers, each = 3, 700
	var publishing sync.WaitGroup
	for p := range publishers {
		node := []*test.Node{a, b}[p%2]
		c := test.Dial(t, node).Connect()
		publishing.Go(func() {
			for i := range each {
				f := frames.New(frames.SEND, "destination", "/topic/chat.busy", "receipt", "r")
				f.Body = fmt.Appendf(nil, "%d %d", p, i)
				if _, err := c.TryRaw(frames.Append(nil, f, frames.V12)); err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Next(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var reading sync.WaitGroup
	for r := range 8 {
		node := []*test.Node{a, b}[r%2]
		pattern := []string{"/topic/chat.busy", "/topic/chat.**"}[r/4]
		reading.Go(func() { readEverything(t, node, pattern, begin, publishers*each, 150+50*r) })
	}
	publishing.Wait()
	reading.Wait()
}

// readEverything reads all messages after an id, in connections of so many each.
func readEverything(t *testing.T, node *test.Node, pattern, last string, want, each int) {
	next := make(map[string]int)
	for got := 0; got < want; {
		c := test.Dial(t, node)
		c.Connect()
		c.Send(frames.SUBSCRIBE, "id", "s", "destination", pattern, "last-event-id", last)
		for n := 0; n < each && got < want; n++ {
			f, err := c.Next()
			if err != nil || f.Command != frames.MESSAGE || f.Get("replay") != "" {
				t.Errorf("%v %v after %d messages", f, err, got)
				return
			}
			publisher, number, _ := strings.Cut(string(f.Body), " ")
			if number != strconv.Itoa(next[publisher]) {
				t.Errorf("%s of publisher %s came in place of %d", number, publisher, next[publisher])
				return
			}
			next[publisher]++
			got++
			last = f.Get("message-id")
		}
		c.Close()
	}
}

// TestReplayLastComesAfterWhatItsSessionSent has SENDs and the SUBSCRIBE in one write, so that the
// SUBSCRIBE is read before the store has the messages.
func TestReplayLastComesAfterWhatItsSessionSent(t *testing.T) {
	t.Parallel()
	node := test.Start(t, test.Options{Histories: test.Histories(t)})
	c := test.Dial(t, node).Connect()
	for round := range 30 {
		room := fmt.Sprintf("/topic/chat.own%d", round)
		var all []byte
		for _, body := range []string{"a", "b", "c", "d"} {
			f := frames.New(frames.SEND, "destination", room)
			f.Body = []byte(body)
			all = frames.Append(all, f, frames.V12)
		}
		id := strconv.Itoa(round)
		all = frames.Append(all, frames.New(frames.SUBSCRIBE, "destination", room, "id", id, "replay-last", "2"), frames.V12)
		c.Raw(string(all))
		c.Message("c")
		c.Message("d")
		c.Send(frames.SEND, "destination", room, "live")
		c.Message("live")
	}
}

func TestReplayIsIncompleteWhereThePastIsGone(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	sender, reader := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	reader.Subscribe("s", "/topic/short.*")
	var ids []string
	send := func(destination, body string) {
		sender.SendKept(destination, body)
		ids = append(ids, reader.Message(body).Get("message-id"))
	}
	send("/topic/short.other", "kept") // so that the stream's beginning stays
	for i := range 8 {
		send("/topic/short.a", strconv.Itoa(i))
	}
	check := func(pattern, id string, incomplete bool, bodies ...string) {
		t.Helper()
		c := test.Dial(t, n).Connect()
		defer c.Close()
		c.Subscribe("s", pattern, "last-event-id", id)
		for i, body := range bodies {
			f := c.Message(body)
			if body == "kept" {
				require.Empty(t, f.Get("replay"))
				continue
			}
			first := i == 0 || bodies[i-1] == "kept"
			require.Equal(t, incomplete && first, f.Get("replay") == "incomplete", "%s", body)
		}
		c.Quiet()
	}
	check("/topic/short.a", ids[5], false, "5", "6", "7")
	check("/topic/short.a", ids[3], true, "3", "4", "5", "6", "7") // 3 is ids[4], and 2 might have come between
	check("/topic/short.a", ids[1], true, "3", "4", "5", "6", "7")
	check("/topic/short.*", ids[1], true, "3", "4", "5", "6", "7")
	check("/topic/short.*", ids[5], false, "5", "6", "7")

	// The first one after the gap is not for this session: the next one says so.
	own := test.Dial(t, n).Connect()
	own.Send(frames.SEND, "destination", "/topic/short.a", "no-echo", "true", "receipt", "own", "own")
	own.Receipt("own")
	for _, body := range []string{"8", "9", "10", "11"} {
		sender.SendKept("/topic/short.a", body)
	}
	own.Subscribe("s", "/topic/short.a", "last-event-id", ids[5])
	require.Equal(t, "incomplete", own.Message("8").Get("replay"))
	require.Empty(t, own.Message("9").Get("replay"))
	own.Close()
	for _, body := range []string{"own", "8", "9", "10", "11"} {
		reader.Message(body)
	}

	// Nothing is kept: the next message says so.
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/plain", "last-event-id", "abc-17")
	sender.Send(frames.SEND, "destination", "/topic/plain", "one")
	sender.Send(frames.SEND, "destination", "/topic/plain", "two")
	require.Equal(t, "incomplete", c.Message("one").Get("replay"))
	require.Empty(t, c.Message("two").Get("replay"))

	// The stream is lost and made again: its ids are of another epoch.
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	name, err := js.StreamNameBySubject(t.Context(), "stompbox.history.short.>")
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), name))
	require.Eventually(t, func() bool {
		c := test.Dial(t, n).Connect()
		defer c.Close()
		c.Send(frames.SEND, "destination", "/topic/short.a", "receipt", "r", "again")
		f, err := c.Next()
		return err == nil && f.Command == frames.RECEIPT
	}, test.Patience, 100*time.Millisecond)
	f := reader.Message("again")
	require.NotEqual(t, driver.ParseStreamPosition(ids[0]).Epoch, driver.ParseStreamPosition(f.Get("message-id")).Epoch)
	check("/topic/short.a", ids[8], true, "again")
}

// TestReplayWaitsForASlowReader replays far more than an outbox holds.
func TestReplayWaitsForASlowReader(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t), Broker: broker.Options{Outbox: broker.OutboxOptions{MaxFrames: 64, MaxBytes: 1 << 20}}})
	sender := test.Dial(t, n).Connect()
	body := strings.Repeat("x", 50_000) // so that the sockets do not hold it all
	const count = 500
	send := func(i int) {
		sender.Send(frames.SEND, "destination", "/topic/chat.long", "receipt", strconv.Itoa(i), strconv.Itoa(i)+" "+body)
		sender.Receipt(strconv.Itoa(i))
	}
	for i := range count {
		send(i)
	}
	slow := test.Dial(t, n).Connect()
	slow.Send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/chat.long", "replay-last", "1000")
	for i := range 100 { // more than can be held while the past is on its way
		send(count + i)
	}
	for i := range count + 100 {
		require.Equal(t, strconv.Itoa(i), strings.Fields(string(slow.Expect(frames.MESSAGE).Body))[0])
	}
	slow.Quiet()
}

func TestReplayHeadersThatAreWrong(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	for says, headers := range map[string][]string{
		"do not go together":        {"destination", "/topic/chat.a", "last-event-id", "a-1", "replay-last", "1"},
		"is not a number from 1":    {"destination", "/topic/chat.a", "replay-last", "0"},
		"takes in the histories":    {"destination", "/topic/**", "last-event-id", "a-1"},
		"needs a history that":      {"destination", "/topic/plain", "durable", "true"},
		"remembers by itself":       {"destination", "/topic/chat.a", "durable", "true", "replay-last", "1"},
		"not a number of messages":  {"destination", "/topic/chat.a", "durable", "true", "prefetch-count", "x"},
		"broker's own":              {"destination", "/topic/$presence/a"},
		"needs a history that keep": {"destination", "/topic/**", "durable", "true"},
	} {
		c := test.Dial(t, n).Connect()
		command := frames.SUBSCRIBE
		if says == "broker's own" {
			command = frames.SEND
		}
		c.Send(command, append([]string{"id", "s"}, headers...)...)
		c.Error(says)
	}
}
