package gateway_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// TestPagesSeeHeartBeats: a page that sees none knows that its connection is gone. They come
// while messages do too, and have the place.
func TestPagesSeeHeartBeats(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	server := eventsOf(t, n, gateway.EventsOptions{HeartBeat: time.Second})
	server.Start()
	always := eventsOf(t, n, gateway.EventsOptions{HeartBeat: time.Second, HeartBeatEvents: true})
	always.Start()
	sender := test.Dial(t, n).Connect()
	sender.SendKept("/topic/chat.other", "of the same history")
	for name, on := range map[string]*stream{
		"one":     ask{user: "alice", query: "destination=/topic/chat.one&heartbeat=event"}.stream(t, server),
		"several": ask{user: "alice", query: "destination=/topic/chat.several&destination=/topic/plain&heartbeat=event"}.stream(t, server),
		"all":     ask{user: "alice", query: "destination=/topic/chat.all"}.stream(t, always),
	} {
		t.Run(name, func(t *testing.T) {
			place := on.next()
			require.Equal(t, "heartbeat", place.event)
			require.Equal(t, "1000", place.data)
			require.NotEmpty(t, place.id)
			require.Equal(t, sse{"heartbeat", "1000", place.id}, on.next())
			sender.SendKept("/topic/chat."+name, name)
			message := on.next()
			for message.event == "heartbeat" { // on its way already
				message = on.next()
			}
			require.Equal(t, name, message.data)
			require.NotEqual(t, place.id, message.id)
			require.Equal(t, sse{"heartbeat", "1000", message.id}, on.next())
			require.Zero(t, on.beats)
		})
	}
	quiet := ask{user: "alice", query: "destination=/topic/chat.a&heartbeat=comment"}.stream(t, always)
	line := ""
	for line != ":" {
		text, err := quiet.lines.ReadString('\n')
		require.NoError(t, err)
		line = strings.TrimSpace(text)
		require.NotEqual(t, "event: heartbeat", line)
	}
	wrong := ask{user: "alice", query: "destination=/topic/chat.a&heartbeat=often"}.do(t, server)
	require.Equal(t, http.StatusBadRequest, wrong.StatusCode)
}

// TestHeartBeatsComeWhileMessagesDo sends more often than they come.
func TestHeartBeatsComeWhileMessagesDo(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{HeartBeat: 2 * time.Second})
	server.Start()
	s := ask{user: "alice", query: "destination=/topic/a&heartbeat=event"}.stream(t, server)
	require.Equal(t, sse{event: "heartbeat", data: "2000"}, s.next(), "nothing keeps it, so there is no place")
	sender := test.Dial(t, n).Connect()
	for beats, i := 0, 0; beats < 2; i++ {
		body := strconv.Itoa(i)
		sender.Send(frames.SEND, "destination", "/topic/a", body)
		e := s.next()
		if e.event == "heartbeat" {
			beats++
			e = s.next()
		}
		require.Equal(t, body, e.data)
	}
}

// TestEventIDsAreOfTheirDestinations: the places of destinations in another order are reported,
// and so is that of another destination, as are those that have no name.
func TestEventIDsAreOfTheirDestinations(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	sender := test.Dial(t, n).Connect()
	sender.SendKept("/topic/chat.b", "b")
	ofA := ask{user: "alice"}.stream(t, server, "/topic/chat.a")
	both := ask{user: "alice"}.stream(t, server, "/topic/chat.a", "/topic/chat.b")
	sender.SendKept("/topic/chat.a", "a")
	a := ofA.data("a").id
	ab := both.data("a").id
	require.True(t, strings.HasPrefix(ab, a+","), "%s %s", a, ab)

	swapped := ask{user: "alice", lastID: ab}.stream(t, server, "/topic/chat.b", "/topic/chat.a")
	got := make(map[string]int)
	for range 4 {
		e := swapped.next()
		got[e.event+" "+e.data]++
	}
	require.Equal(t, map[string]int{"replay-incomplete /topic/chat.a": 1, "replay-incomplete /topic/chat.b": 1, " a": 1, " b": 1}, got)
	other := ask{user: "alice", lastID: a}.stream(t, server, "/topic/chat.b")
	require.Equal(t, sse{event: "replay-incomplete", data: "/topic/chat.b"}, other.next())
	other.data("b")
	whole := ask{user: "alice", query: "destination=/topic/chat.a&format=json&last-event-id=" + driver.ParseStreamPosition(a).String()}.stream(t, server)
	sender.SendKept("/topic/chat.a", "next")
	next := whole.next()
	require.Contains(t, next.data, `"message-id":"`+next.id+`"`)
	ask{user: "alice", lastID: a}.stream(t, server, "/topic/chat.a").data("next")
}
