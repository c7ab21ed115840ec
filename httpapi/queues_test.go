package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestNamesOfQueuesThatAreTooLongAreRefused(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "x")
	c.Receipt("r")
	p := newPoster(t, n, "operator", auth.Grants{})
	for _, long := range []string{strings.Repeat("x", 5000), strings.Repeat("%", 700), strings.Repeat(".", 600)} {
		long = "/queue/" + long
		for _, query := range []url.Values{{"destination": {"/queue/a"}, "to": {long}}, {"destination": {long}, "to": {"/queue/a"}}, {"destination": {long}}} {
			a := p.post("/api/queues/move?"+query.Encode(), "")
			require.Equal(t, http.StatusBadRequest, a.Status, "%s", a.Detail)
			require.Contains(t, a.Detail, "the limit is 512")
		}
		a := p.post("/api/queues/purge?"+url.Values{"destination": {long}}.Encode(), "")
		require.Equal(t, http.StatusBadRequest, a.Status)
	}
	a := p.post("/api/queues/move?destination=/queue/a&to=/queue/b", "")
	require.Equal(t, http.StatusOK, a.Status)
	require.True(t, n.Relay.Ready())
	require.NotContains(t, n.Log.String(), "lost NATS")
}

// TestWhatAnEndedSessionHeldIsNotHeld: it is free for a move, and is counted so, at once and on
// each node.
func TestWhatAnEndedSessionHeldIsNotHeld(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Name: "north"})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Name: "south"})
	sender := test.Dial(t, a).Connect()
	for _, body := range []string{"0", "1", "2", "3"} {
		sender.Send(frames.SEND, "destination", "/queue/work", "receipt", body, body)
		sender.Receipt(body)
	}
	consumer := test.Dial(t, b).Connect()
	consumer.Subscribe("q", "/queue/work", "ack", "client-individual", "prefetch-count", "3")
	consumer.Send(frames.ACK, "id", consumer.Message("0").Get("ack"))
	for _, body := range []string{"1", "2", "3"} {
		consumer.Message(body)
	}
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 }, test.Patience, 10*time.Millisecond)
	get := api(t, a)
	wait := func(messages, held int) {
		t.Helper()
		require.Eventually(t, func() bool {
			status, body := get("admin", auth.Grants{}, "/api/queues?destination=/queue/work")
			require.Equal(t, http.StatusOK, status, body)
			var q driver.QueueInfo
			require.NoError(t, json.Unmarshal([]byte(body), &q))
			return q.Messages == uint64(messages) && q.Held == held
		}, test.Patience, 10*time.Millisecond)
	}
	wait(3, 3)
	consumer.Close()
	wait(3, 0)
	status, list := get("admin", auth.Grants{}, "/api/queues")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, list, `"held":0`)
}

// TestMisspelledParametersAreRefused where something would be changed, or more than was meant.
func TestMisspelledParametersAreRefused(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "x")
	c.Receipt("r")
	p := newPoster(t, n, "operator", auth.Grants{})
	for path, says := range map[string]string{
		"/api/queues/purge?destination=/queue/a&oldr=24h":        "there is no parameter oldr; use destination, id, user, older, header, after",
		"/api/queues/move?destination=/queue/a&To=/queue/b":      "there is no parameter To; use destination, to, limit",
		"/api/users/guest/disconnect?sesion=5":                   "there is no parameter sesion; use session, reason, for, until",
		"/api/users/guest/unsubscribe?destination=/topic/a&id=1": "there is no parameter id",
		"/api/bans?user=guest&for=1h&reson=x":                    "there is no parameter reson",
		"/api/send?destination=/queue/b":                         "this request has none",
		"/api/users/guest/disconnect?session=":                   "the parameter session is empty; give it a value, or leave it out",
		"/api/users/guest/disconnect?session=%20":                "the parameter session is empty",
		"/api/users/guest/disconnect?for=":                       "the parameter for is empty",
		"/api/users/guest/disconnect?session=%zz":                "the parameters cannot be read",
		"/api/users/guest/disconnect?reason=a;session=b":         "the parameters cannot be read",
		"/api/users/guest/disconnect?session=a&session=b":        "the parameter session is there twice",
		"/api/users/guest/unsubscribe?destination=/a&session=":   "the parameter session is empty",
		"/api/queues/purge?destination=/queue/a&user=":           "the parameter user is empty",
		"/api/queues/purge?destination=/queue/a&header=":         "the parameter header is empty",
		"/api/queues/purge?destination=/queue/a&older=1h;id=x":   "the parameters cannot be read",
		"/api/queues/move?destination=/queue/a&to=":              "the parameter to is empty",
		"/api/queues/requeue?destination=/queue/a&id=1&to=":      "the parameter to is empty",
		"/api/bans?user=guest&token=&for=1h":                     "the parameter token is empty",
	} {
		a := p.post(path, "{}")
		require.Equal(t, http.StatusBadRequest, a.Status, path)
		require.Contains(t, a.Detail, says)
	}
	c.Subscribe("q", "/queue/a")
	c.Message("x")
}

// TestAMoveCountsNothingThatStays: messages that are no dead letters have nowhere to go, and are
// not taken to find that out.
func TestAMoveCountsNothingThatStays(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for _, body := range []string{"0", "1", "2"} {
		c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", body)
		c.Receipt("r")
	}
	p := newPoster(t, n, "operator", auth.Grants{})
	for range 6 {
		a := p.post("/api/queues/move?destination=/queue/a", "")
		require.Equal(t, http.StatusOK, a.Status)
		require.Equal(t, []int{0, 3}, []int{a.Moved, a.Left})
	}
	c.Subscribe("q", "/queue/a", "ack", "client")
	for _, body := range []string{"0", "1", "2"} {
		f := c.Message(body)
		require.Equal(t, "1", f.Get("delivery-count"))
		require.Empty(t, f.Get("redelivered"))
	}
}
