package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
)

// peeker looks at queues as an operator.
func peeker(t *testing.T, n *test.Node) func(queue, more string) httpapi.Peeked {
	get := api(t, n)
	return func(queue, more string) (seen httpapi.Peeked) {
		t.Helper()
		status, body := get("operator", auth.AllGrants(), "/api/queues/peek?destination="+url.QueryEscape(queue)+more)
		require.Equal(t, 200, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &seen))
		return seen
	}
}

func bodiesOf(p httpapi.Peeked) []string {
	all := []string{}
	for _, m := range p.Messages {
		all = append(all, *m.Body)
	}
	return all
}

// TestPeekShowsMessagesAndLeavesThemAsTheyAre in each kind of stored queue, on any node.
func TestPeekShowsMessagesAndLeavesThemAsTheyAre(t *testing.T) {
	t.Parallel()
	bounded, err := destination.ParsePattern("/queue/bounded")
	require.NoError(t, err)
	policies := broker.Options{Queues: broker.QueueDefaults{Policies: []broker.QueuePolicy{{Match: bounded, MaxMessages: 100, MaxDeliveries: 2}}}}
	a := test.Start(t, test.Options{NATSPort: -1, Broker: policies})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Broker: policies})
	c := test.Dial(t, a).Connect()
	for _, queue := range []string{"/queue/plain", "/queue/bounded", "/queue/memory"} {
		var headers []string
		if queue == "/queue/memory" {
			headers = []string{"persistent", "false"}
		}
		for _, body := range []string{"m0", "m1", "m2"} {
			c.Send(frames.SEND, append(append([]string{"destination", queue, "colour", "a:b", "receipt", body}, headers...), body)...)
			c.Receipt(body)
		}
		for _, n := range []*test.Node{a, b} {
			peek := peeker(t, n)
			for range 3 {
				require.Equal(t, []string{"m0", "m1", "m2"}, bodiesOf(peek(queue, "")), queue)
			}
			first := peek(queue, "&limit=2")
			require.Equal(t, []string{"m0", "m1"}, bodiesOf(first))
			rest := peek(queue, "&limit=2&after="+first.Next)
			require.Equal(t, []string{"m2"}, bodiesOf(rest))
			require.Empty(t, rest.Next)
		}
		shown := peeker(t, b)(queue, "&limit=1").Messages[0].Headers
		consumer := test.Dial(t, b).Connect()
		consumer.Subscribe("q", queue, "ack", "client", "prefetch-count", "2")
		for _, body := range []string{"m0", "m1"} {
			m := consumer.Message(body)
			require.Equal(t, "1", m.Get("delivery-count"), "what was looked at was not delivered")
			require.Empty(t, m.Get("redelivered"))
			if body == "m0" {
				for _, name := range []string{"destination", "message-id", "user", "session", "timestamp", "colour"} {
					require.Equal(t, m.Get(name), shown[name], name)
				}
			}
		}
		require.Equal(t, []string{"m0", "m1", "m2"}, bodiesOf(peeker(t, a)(queue, "")), "what consumers hold is shown")
		consumer.Close()
	}
	dead := test.Dial(t, a).Connect()
	dead.Subscribe("q", "/queue/bounded", "ack", "client-individual", "prefetch-count", "1")
	m := dead.Expect(frames.MESSAGE) // for the second time, unless it is m2
	for m.Get("delivery-count") != "2" {
		dead.Send(frames.ACK, "id", m.Get("ack"))
		m = dead.Expect(frames.MESSAGE)
	}
	dead.Send(frames.NACK, "id", m.Get("ack"))
	require.Eventually(t, func() bool { return a.Broker.Stats().Dead > 0 }, test.Patience, 5*time.Millisecond)
	letter := peeker(t, b)("/queue/DLQ.bounded", "").Messages[0]
	require.Equal(t, string(m.Body), *letter.Body)
	require.Equal(t, "/queue/bounded", letter.Headers["dead-letter-origin"])
}

// TestPeekShowsWhatWaitsInATransientQueue on any node.
func TestPeekShowsWhatWaitsInATransientQueue(t *testing.T) {
	t.Parallel()
	const queue = "/queue/a-user8f14e45f-ceea-467f-a0e6-123456789abc"
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 10*time.Millisecond)
	c, sender := test.Dial(t, a).Connect(), test.Dial(t, a).Connect()
	c.Subscribe("q", queue, "ack", "client", "prefetch-count", "1")
	for _, body := range []string{"m0", "m1", "m2"} {
		sender.Send(frames.SEND, "destination", queue, "receipt", body, body)
		sender.Receipt(body)
	}
	for _, n := range []*test.Node{a, b} {
		require.Equal(t, []string{"m1", "m2"}, bodiesOf(peeker(t, n)(queue, "")))
		require.Equal(t, []string{"m1"}, bodiesOf(peeker(t, n)(queue, "&limit=1")))
	}
}

func TestPeekIsBoundedAndNeedsPermission(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	large := strings.Repeat("x", 600<<10)
	for i, body := range []string{large, large, "\xff\xfe", "", "last"} {
		c.Send(frames.SEND, "destination", "/queue/large", "receipt", fmt.Sprint(i), body)
		c.Receipt(fmt.Sprint(i))
	}
	peek := peeker(t, n)
	first := peek("/queue/large", "")
	require.Len(t, first.Messages, 1, "two are larger than an answer may be")
	rest := peek("/queue/large", "&after="+first.Next)
	require.Len(t, rest.Messages, 4)
	require.Equal(t, large, *rest.Messages[0].Body)
	require.Nil(t, rest.Messages[1].Body)
	require.Equal(t, base64.StdEncoding.EncodeToString([]byte("\xff\xfe")), rest.Messages[1].Base64)
	require.Empty(t, *rest.Messages[2].Body)
	require.Empty(t, rest.Next)

	get := api(t, n)
	for path, want := range map[string]int{
		"?destination=/queue/none":                        404,
		"?destination=/topic/a":                           400,
		"?destination=/queue/*":                           400,
		"?destination=/queue/large&limit=0":               400,
		"?destination=/queue/large&limit=101":             400,
		"?destination=/queue/large&after=7":               400,
		"?destination=/queue/large&after=0.-1":            400,
		"?destination=/queue/large&after=" + large[:2000]: 400,
	} {
		status, body := get("operator", auth.AllGrants(), "/api/queues/peek"+path)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
	status, body := get("mallory", auth.Grants{Subscribe: []string{"/queue/other"}, Send: []string{"/**"}}, "/api/queues/peek?destination=/queue/large")
	require.Equal(t, 403, status, body)
}
