package httpapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
)

// operator asks the API of a node as an operator, or as a user with the grants.
type operator struct {
	t      *testing.T
	server *httptest.Server
	token  string
}

func newOperator(t *testing.T, n *test.Node, grants auth.Grants) *operator {
	return &operator{t, apiServer(t, n), test.Token(t, "operator", time.Hour, grants)}
}

// ask wants a status, and reads the answer.
func (o *operator) ask(method, path string, status int, answer any) {
	o.t.Helper()
	r, err := http.NewRequest(method, o.server.URL+path, nil)
	require.NoError(o.t, err)
	r.Header.Set("Authorization", "Bearer "+o.token)
	got, err := http.DefaultClient.Do(r)
	require.NoError(o.t, err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	require.NoError(o.t, err)
	require.Equal(o.t, status, got.StatusCode, "%s %s: %s", method, path, body)
	if answer != nil {
		require.NoError(o.t, json.Unmarshal(body, answer))
	}
}

func TestTheSlowestComeFirst(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Name: "north"})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Name: "south"})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 5*time.Millisecond)
	ann := test.Dial(t, a).Connect("Authorization", "Bearer "+test.Token(t, "ann", time.Hour, auth.AllGrants()))
	ann.Subscribe("1", "/topic/ann")
	slow := test.DialTCP(t, b).Connect("Authorization", "Bearer "+test.Token(t, "zoe", time.Hour, auth.AllGrants()))
	slow.Subscribe("1", "/topic/slow")
	body := strings.Repeat("x", 1<<20)
	o := newOperator(t, a, auth.AllGrants())
	var sessions struct{ Sessions []admin.SessionInfo }
	for range 40 { // more than the buffers of a connection take
		ann.Send(frames.SEND, "destination", "/topic/slow", "receipt", "sent", body)
		ann.Receipt("sent")
		o.ask("GET", "/api/sessions?order=slowest", 200, &sessions)
		if sessions.Sessions[0].QueuedBytes > 1<<20 {
			break
		}
	}
	first := sessions.Sessions[0]
	require.Equal(t, []any{"zoe", "south", "tcp", "1.2"}, []any{first.User, first.Node, first.Transport, first.Version})
	require.Greater(t, first.QueuedBytes, int64(1<<20))
	require.Positive(t, first.QueuedFrames)
	require.Len(t, sessions.Sessions, 2)

	var users struct{ Users []admin.UserInfo }
	o.ask("GET", "/api/users?order=slowest&limit=1", 200, &users)
	require.Len(t, users.Users, 1)
	require.Equal(t, "zoe", users.Users[0].Name)
	o.ask("GET", "/api/users?order=bytes", 200, &users)
	require.Equal(t, "ann", users.Users[0].Name, "who sent it all")
	o.ask("GET", "/api/users", 200, &users)
	require.Equal(t, "ann", users.Users[0].Name)
	o.ask("GET", "/api/users?order=height", 400, nil)
	newOperator(t, a, auth.Grants{Send: []string{"/user/ann/**"}}).ask("GET", "/api/sessions?order=slowest", 200, &sessions)
	require.Len(t, sessions.Sessions, 1, "only of those that the caller may send to")

	var nodes struct{ Nodes []admin.NodeInfo }
	o.ask("GET", "/api/nodes", 200, &nodes)
	require.Len(t, nodes.Nodes, 2)
	require.Equal(t, []any{"north", int64(1), "south", int64(1)}, []any{nodes.Nodes[0].Name, nodes.Nodes[0].Sessions, nodes.Nodes[1].Name, nodes.Nodes[1].Sessions})
	require.Greater(t, nodes.Nodes[0].ReceivedBytes, int64(1<<20))
	newOperator(t, a, auth.Grants{Send: []string{"/user/**"}}).ask("GET", "/api/nodes", 403, nil)
}

// TestTheConsumersOfAQueueAreFound on all nodes, such as who holds its messages.
func TestTheConsumersOfAQueueAreFound(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Name: "north"})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Name: "south"})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 5*time.Millisecond)
	ann := test.Dial(t, a).Connect("Authorization", "Bearer "+test.Token(t, "ann", time.Hour, auth.AllGrants()))
	ann.Subscribe("1", "/queue/work")
	ann.Subscribe("2", "/topic/a")
	zoe := test.DialTCP(t, b).Connect("Authorization", "Bearer "+test.Token(t, "zoe", time.Hour, auth.AllGrants()))
	zoe.Subscribe("3", "/queue/work", "ack", "client-individual")
	other := test.Dial(t, b).Connect("Authorization", "Bearer "+test.Token(t, "other", time.Hour, auth.AllGrants()))
	other.Subscribe("4", "/queue/work2")
	o := newOperator(t, a, auth.AllGrants())
	var sessions struct{ Sessions []admin.SessionInfo }
	o.ask("GET", "/api/sessions?destination=/queue/work", 200, &sessions)
	require.Len(t, sessions.Sessions, 2)
	require.Equal(t, []any{"ann", "north"}, []any{sessions.Sessions[0].User, sessions.Sessions[0].Node})
	require.Equal(t, []admin.SubscriptionInfo{{ID: "1", Destination: "/queue/work", Ack: "auto"}}, sessions.Sessions[0].Subscriptions)
	require.Equal(t, []any{"zoe", "south"}, []any{sessions.Sessions[1].User, sessions.Sessions[1].Node})
	require.Equal(t, []admin.SubscriptionInfo{{ID: "3", Destination: "/queue/work", Ack: "client-individual"}}, sessions.Sessions[1].Subscriptions)
	o.ask("GET", "/api/sessions?destination=/queue/none", 200, &sessions)
	require.Empty(t, sessions.Sessions)
	o.ask("GET", "/api/sessions?destination=", 400, nil)
	newOperator(t, a, auth.Grants{Send: []string{"/user/**"}, Subscribe: []string{"/queue/work2"}}).ask("GET", "/api/sessions?destination=/queue/work", 403, nil)
	newOperator(t, a, auth.Grants{Send: []string{"/user/zoe/**"}, Subscribe: []string{"/queue/*"}}).ask("GET", "/api/sessions?destination=/queue/work", 200, &sessions)
	require.Len(t, sessions.Sessions, 1, "only of those that the caller may send to")
}

func TestOperatorsEndSubscriptionsOnAllNodes(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 5*time.Millisecond)
	token := test.Token(t, "ann", time.Hour, auth.AllGrants())
	here, there := test.Dial(t, a).Connect("Authorization", "Bearer "+token), test.Dial(t, b).Connect("Authorization", "Bearer "+token)
	for name, c := range map[string]*test.Client{"/topic/here": here, "/topic/there": there} {
		c.Subscribe("t", "/topic/a")
		c.Subscribe("u", name)
		c.Subscribe("e", "/user/queue/errors")
	}
	o := newOperator(t, a, auth.Grants{Send: []string{"/session/disconnect/ann"}})
	o.ask("POST", "/api/users/ann/unsubscribe", 400, nil)
	newOperator(t, a, auth.Grants{Send: []string{"/topic/**"}}).ask("POST", "/api/users/ann/unsubscribe?destination=/topic/a", 403, nil)
	var answer struct{ Unsubscribed int }
	o.ask("POST", "/api/users/ann/unsubscribe?destination=/topic/a&reason=too+much", 200, &answer)
	require.Equal(t, 2, answer.Unsubscribed)
	for name, c := range map[string]*test.Client{"/topic/here": here, "/topic/there": there} {
		m := c.Message(`subscription "t": too much`)
		require.Equal(t, "unsubscribed", m.Get("error"))
		c.Send(frames.SEND, "destination", "/topic/a", "gone")
		c.Send(frames.SEND, "destination", name, "receipt", "b", "stays")
		m = c.Message("stays")
		require.Equal(t, "u", m.Get("subscription"))
		c.Receipt("b")
		c.Send(frames.UNSUBSCRIBE, "id", "u", "receipt", "end")
		c.Receipt("end")
	}
	there.Subscribe("t", "/topic/a")
	o.ask("POST", "/api/users/ann/unsubscribe?subscription=t&session="+url.QueryEscape(there.Connected.Get("session")), 200, &answer)
	require.Equal(t, 1, answer.Unsubscribed)
}

// TestABanHoldsOnAllNodes: for sessions that are open and new ones, of a user and of a
// token that is still good.
func TestABanHoldsOnAllNodes(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 5*time.Millisecond)
	token := test.Token(t, "ann", time.Hour, auth.AllGrants())
	connect := func(n *test.Node, token string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+token)
	}
	refused := func(n *test.Node, token string) {
		t.Helper()
		c := test.Dial(t, n)
		c.Send(frames.CONNECT, "accept-version", "1.2", "host", "x", "Authorization", "Bearer "+token)
		f := c.Error("you are banned until ")
		require.Equal(t, "banned", f.Get("code"))
	}
	here, there := connect(a, token), connect(b, token)
	o := newOperator(t, a, auth.AllGrants())
	var ended httpapi.Ended
	for _, wrong := range []string{"?user=ann", "?for=1h", "?user=ann&token=x&for=1h", "?user=ann&for=-1h", "?user=ann&for=1h&until=2100-01-01T00:00:00Z", "?user=ann&until=2000-01-01T00:00:00Z", "?user=ann&until=tomorrow"} {
		o.ask("POST", "/api/bans"+wrong, 400, nil)
	}
	o.ask("POST", "/api/users/ann/disconnect?for=1h&session=x", 400, nil)
	newOperator(t, a, auth.Grants{Send: []string{"/session/disconnect/bob"}}).ask("POST", "/api/bans?user=ann&for=1h", 403, nil)

	o.ask("POST", "/api/bans?user=ann&for=1h&reason=spam", 200, &ended)
	require.Equal(t, 2, ended.Disconnected)
	require.True(t, *ended.Kept, ended.KeepError)
	here.Error(": spam")
	there.Error(": spam")
	refused(a, token)
	refused(b, token)
	refused(b, test.Token(t, "ann", time.Hour, auth.AllGrants()))
	get := api(t, b)
	status, body := get("ann", auth.AllGrants(), "/api/users")
	require.Equal(t, 403, status, body)
	require.Contains(t, body, `"code":"banned"`)
	require.Equal(t, map[broker.Endpoint]map[broker.Code]int64{broker.EndpointAPI: {broker.CodeBanned: 1}}, b.Broker.Stats().Unauthenticated)
	var list struct{ Bans []admin.Ban }
	newOperator(t, b, auth.AllGrants()).ask("GET", "/api/bans", 200, &list)
	require.Len(t, list.Bans, 1)
	require.Equal(t, []string{"ann", "spam", "operator"}, []string{list.Bans[0].User, list.Bans[0].Reason, list.Bans[0].By})
	newOperator(t, b, auth.Grants{Send: []string{"/session/disconnect/bob"}}).ask("GET", "/api/bans", 200, &list)
	require.Empty(t, list.Bans)

	// A node that starts later knows it too.
	late := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	refused(late, token)

	newOperator(t, b, auth.AllGrants()).ask("DELETE", "/api/bans?user=ann", 200, nil)
	o.ask("DELETE", "/api/bans?user=ann", 404, nil)
	for _, n := range []*test.Node{a, b, late} {
		connect(n, token).Close()
		require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, 5*time.Millisecond)
	}

	// One token: others of the same user are not concerned, and it cannot be used to refresh.
	mine, other := connect(b, token), connect(b, test.Token(t, "ann", time.Hour, auth.AllGrants()))
	var user struct{ Sessions []admin.SessionInfo }
	o.ask("GET", "/api/users/ann", 200, &user)
	id := ""
	for _, s := range user.Sessions {
		if s.ID == mine.Connected.Get("session") {
			id = s.Token
		}
	}
	require.NotEmpty(t, id)
	o.ask("POST", "/api/bans?token="+url.QueryEscape(id)+"&until="+time.Now().Add(time.Hour).Format("2006-01-02T15:04:05Z07:00"), 200, &ended)
	require.Equal(t, 1, ended.Disconnected)
	mine.Error("you are banned")
	refused(late, token)
	other.Send(frames.SEND, "destination", "/session/token", token)
	other.Error("you are banned")
}

// TestALongerBanStays on all nodes, until it is lifted or replaced explicitly.
func TestALongerBanStays(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 && b.Relay.Stats().Nodes == 1 }, test.Patience, 5*time.Millisecond)
	here, there := newOperator(t, a, auth.AllGrants()), newOperator(t, b, auth.AllGrants())
	ends := func() (all []string) {
		t.Helper()
		for _, o := range []*operator{here, there} {
			var list struct{ Bans []admin.Ban }
			o.ask("GET", "/api/bans", 200, &list)
			for _, ban := range list.Bans {
				all = append(all, ban.Until.Format(time.RFC3339)+" "+ban.Reason)
			}
		}
		return all
	}
	year := time.Now().Add(8760 * time.Hour).UTC().Truncate(time.Second)
	long := url.QueryEscape(year.Format(time.RFC3339))
	here.ask("POST", "/api/bans?user=eve&reason=long&until="+long, 200, nil)
	stays := year.Format(time.RFC3339) + " long"
	for _, path := range []string{"/api/users/eve/disconnect?for=1m", "/api/bans?user=eve&for=1m", "/api/bans?user=eve&for=1m&replace=false"} {
		for _, o := range []*operator{here, there} {
			var ended httpapi.Ended
			o.ask("POST", path, 200, &ended)
			require.True(t, ended.Longer, path)
			require.True(t, ended.Until.Equal(year), path)
			require.Equal(t, []string{stays, stays}, ends(), path)
		}
	}
	there.ask("POST", "/api/users/eve/disconnect?replace=true", 400, nil)
	there.ask("POST", "/api/bans?user=eve&for=1m&replace=maybe", 400, nil)
	var ended httpapi.Ended
	there.ask("POST", "/api/users/eve/disconnect?for=2m&replace=true&reason=short", 200, &ended)
	require.False(t, ended.Longer)
	short := ended.Until.Format(time.RFC3339) + " short"
	require.Equal(t, []string{short, short}, ends())
	late := newOperator(t, test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()}), auth.AllGrants())
	here = late
	require.Equal(t, []string{short, short}, ends(), "also one that starts later")

	there.ask("POST", "/api/bans?user=eve&until="+long, 200, &ended)
	there.ask("DELETE", "/api/bans?user=eve", 200, nil)
	there.ask("POST", "/api/bans?user=eve&for=3m", 200, &ended)
	require.False(t, ended.Longer)
	require.True(t, ended.Until.Before(year))
}

func TestOperatorsReadAndClearHistories(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	c := test.Dial(t, n).Connect()
	for _, body := range []string{"1", "2", "3"} {
		c.SendKept("/topic/chat.a", body)
		c.SendKept("/topic/chat.b", "b"+body)
		c.SendKept("/user/ann/queue/notes", "n"+body)
	}
	o := newOperator(t, n, auth.AllGrants())
	var page httpapi.Peeked
	read := func(query string) []string {
		t.Helper()
		page = httpapi.Peeked{}
		o.ask("GET", "/api/history?"+query, 200, &page)
		return bodiesOf(page)
	}
	require.Equal(t, []string{"1", "2", "3"}, read("destination=/topic/chat.a"))
	require.Empty(t, page.Next)
	require.Equal(t, []string{"1", "2"}, read("destination=/topic/chat.a&limit=2"))
	place := page.Next
	require.Equal(t, []string{"3"}, read("destination=/topic/chat.a&limit=2&after="+url.QueryEscape(page.Next)))
	require.Equal(t, []string{"n1", "n2", "n3"}, read("destination=/user/ann/queue/notes"))
	require.Equal(t, []string{"1", "2", "3"}, read("destination=/topic/chat.a&since=1h"))
	require.Empty(t, read("destination=/topic/chat.a&since="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	require.Empty(t, read("destination=/topic/chat.a&until=2001-01-01T00:00:00Z"))
	o.ask("GET", "/api/history?destination=/topic/other", 404, nil)
	o.ask("GET", "/api/history?destination=/topic/*", 400, nil)
	o.ask("GET", "/api/history?destination=/topic/chat.a&since=yesterday", 400, nil)
	ann := newOperator(t, n, auth.Grants{Subscribe: []string{"/topic/chat.a"}})
	ann.ask("GET", "/api/history?destination=/topic/chat.a", 200, nil)
	ann.ask("GET", "/api/history?destination=/topic/chat.b", 403, nil)
	ann.ask("GET", "/api/history?destination=/user/ann/queue/notes", 403, nil)
	ann.ask("POST", "/api/history/clear?destination=/topic/chat.a", 403, nil)
	var policies []httpapi.HistoryPolicy
	ann.ask("GET", "/api/histories", 200, &policies)
	require.Len(t, policies, 3)
	require.Nil(t, policies[0].Kept, "how much others keep is not for who may read one destination")
	o.ask("GET", "/api/histories", 200, &policies)
	kept := make(map[string]*httpapi.HistoryUsage)
	for _, p := range policies {
		kept[p.Match] = p.Kept
	}
	require.EqualValues(t, 2, kept["/topic/chat.**"].Destinations)
	require.EqualValues(t, 6, kept["/topic/chat.**"].Messages)
	require.NotZero(t, kept["/topic/chat.**"].Bytes)
	require.NotEmpty(t, kept["/topic/chat.**"].Oldest)
	// A place that the history never had would read from its beginning, again and again.
	for _, wrong := range []string{"garbage", "other-1", place[:strings.LastIndexByte(place, '-')] + "-999"} {
		o.ask("GET", "/api/history?destination=/topic/chat.a&after="+url.QueryEscape(wrong), 400, nil)
	}

	// Who comes back reads that something is missing; who has seen all does not.
	reader := test.Dial(t, n).Connect()
	reader.Subscribe("r", "/topic/chat.a", "replay-last", "3")
	first := reader.Message("1").Get("message-id")
	reader.Message("2")
	last := reader.Message("3").Get("message-id")
	var cleared struct{ Cleared int }
	o.ask("POST", "/api/history/clear?destination=/topic/chat.a", 200, &cleared)
	require.Equal(t, 3, cleared.Cleared)
	require.Empty(t, read("destination=/topic/chat.a"))
	require.Equal(t, []string{"b1", "b2", "b3"}, read("destination=/topic/chat.b"))
	c.SendKept("/topic/chat.a", "4")
	back := test.Dial(t, n).Connect()
	back.Subscribe("r", "/topic/chat.a", "last-event-id", first)
	require.Equal(t, "incomplete", back.Message("4").Get("replay"))
	knowing := test.Dial(t, n).Connect()
	knowing.Subscribe("r", "/topic/chat.a", "last-event-id", last)
	require.Empty(t, knowing.Message("4").Get("replay"))
	o.ask("POST", "/api/history/clear?destination=/topic/chat.none", 200, &cleared)
	require.Zero(t, cleared.Cleared)
}

func TestOperatorsMendQueuesMessageByMessage(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	ann := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "ann", time.Hour, auth.AllGrants()))
	send := func(c *test.Client, colour, body string) {
		c.Send(frames.SEND, "destination", "/queue/work", "colour", colour, "receipt", body, body)
		c.Receipt(body)
	}
	send(c, "red", "one")
	send(c, "blue", "two")
	send(ann, "red", "three")
	send(ann, "blue", "four")
	o := newOperator(t, n, auth.AllGrants())
	look := func(queue string) (ids map[string]string, bodies []string) {
		t.Helper()
		var seen httpapi.Peeked
		o.ask("GET", "/api/queues/peek?destination="+queue, 200, &seen)
		ids = make(map[string]string)
		for _, m := range seen.Messages {
			ids[*m.Body] = m.Headers["message-id"]
		}
		return ids, bodiesOf(seen)
	}
	ids, bodies := look("/queue/work")
	require.Equal(t, []string{"one", "two", "three", "four"}, bodies)

	var m httpapi.PeekedMessage
	o.ask("GET", "/api/queues/message?destination=/queue/work&id="+ids["two"], 200, &m)
	require.Equal(t, []string{"two", "blue"}, []string{*m.Body, m.Headers["colour"]})
	o.ask("GET", "/api/queues/message?destination=/queue/work&id=none", 404, nil)
	o.ask("GET", "/api/queues/message?destination=/queue/work", 400, nil)
	newOperator(t, n, auth.Grants{Subscribe: []string{"/queue/other"}}).ask("GET", "/api/queues/message?destination=/queue/work&id=x", 403, nil)

	o.ask("POST", "/api/queues/requeue?destination=/queue/work&id="+ids["two"], 400, nil) // it is no dead letter
	newOperator(t, n, auth.Grants{Subscribe: []string{"/queue/*"}}).ask("POST", "/api/queues/requeue?destination=/queue/work&to=/queue/other&id="+ids["two"], 403, nil)
	o.ask("POST", "/api/queues/requeue?destination=/queue/work&to=/queue/other&id="+ids["two"], 200, nil)
	o.ask("POST", "/api/queues/requeue?destination=/queue/work&to=/queue/other&id="+ids["two"], 404, nil)
	_, bodies = look("/queue/work")
	require.Equal(t, []string{"one", "three", "four"}, bodies)
	_, bodies = look("/queue/other")
	require.Equal(t, []string{"two"}, bodies)

	var purged httpapi.Purged
	o.ask("POST", "/api/queues/purge?destination=/queue/work&header=colour:red&user=ann", 200, &purged)
	require.Equal(t, httpapi.Purged{Purged: 1}, purged)
	_, bodies = look("/queue/work")
	require.Equal(t, []string{"one", "four"}, bodies)
	o.ask("POST", "/api/queues/purge?destination=/queue/work&older=1h", 200, &purged)
	require.Zero(t, purged.Purged)
	for _, wrong := range []string{"older=x", "older=", "older=0s", "older=-1h", "user=", "id=", "header=colour", "colour=red"} {
		o.ask("POST", "/api/queues/purge?destination=/queue/work&"+wrong, 400, nil)
	}
	o.ask("POST", "/api/queues/purge?destination=/queue/work&id="+ids["four"], 200, &purged)
	require.EqualValues(t, 1, purged.Purged)
	_, bodies = look("/queue/work")
	require.Equal(t, []string{"one"}, bodies)
	o.ask("POST", "/api/queues/purge?destination=/queue/work", 200, &purged)
	require.EqualValues(t, 1, purged.Purged)
}

// TestAPurgeByAnEmptyHeaderLeavesMessagesWithoutIt: only those that have the header with an empty
// value match.
func TestAPurgeByAnEmptyHeaderLeavesMessagesWithoutIt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for body, headers := range map[string][]string{"without": nil, "empty": {"colour", ""}, "red": {"colour", "red"}} {
		c.Send(frames.SEND, append(append([]string{"destination", "/queue/work", "receipt", body}, headers...), body)...)
		c.Receipt(body)
	}
	o := newOperator(t, n, auth.AllGrants())
	left := func() []string {
		t.Helper()
		var seen httpapi.Peeked
		o.ask("GET", "/api/queues/peek?destination=/queue/work", 200, &seen)
		return bodiesOf(seen)
	}
	var purged httpapi.Purged
	for _, none := range []string{"size:", "content-length:", "Colour:", "dead-letter-origin:"} {
		o.ask("POST", "/api/queues/purge?destination=/queue/work&header="+none, 200, &purged)
		require.Equal(t, httpapi.Purged{}, purged, none)
	}
	require.ElementsMatch(t, []string{"without", "empty", "red"}, left())
	o.ask("POST", "/api/queues/purge?destination=/queue/work&header=colour:", 200, &purged)
	require.Equal(t, httpapi.Purged{Purged: 1}, purged)
	require.ElementsMatch(t, []string{"without", "red"}, left())
}

// TestAMessageIsFoundHoweverManyAreBeforeIt: an answer that it is not there is one about the whole
// queue, or says where the search goes on.
func TestAMessageIsFoundHoweverManyAreBeforeIt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	permissions, err := auth.NewPermissions(auth.AllGrants(), "ann")
	require.NoError(t, err)
	p := &auth.Principal{Name: "ann", Permissions: permissions}
	const batch, batches = 500, 11
	for range batches {
		_, err := n.Broker.Send(t.Context(), p, slices.Repeat([]broker.Publication{{Destination: "/queue/deep", Body: []byte("x")}}, batch)...)
		require.NoError(t, err)
	}
	_, err = n.Broker.Send(t.Context(), p, broker.Publication{Destination: "/queue/deep", Body: []byte("last")})
	require.NoError(t, err)
	o := newOperator(t, n, auth.AllGrants())
	var last httpapi.PeekedMessage
	for query := (url.Values{"destination": {"/queue/deep"}}); ; {
		var page httpapi.Peeked
		o.ask("GET", "/api/queues/peek?"+query.Encode(), 200, &page)
		if last = page.Messages[len(page.Messages)-1]; page.Next == "" {
			break
		}
		query.Set("after", page.Next)
	}
	require.Equal(t, "last", *last.Body)
	search := func(method, path, id string) (status int, body string) {
		t.Helper()
		for after := ""; ; {
			r, err := http.NewRequest(method, o.server.URL+path+"&id="+id+after, nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+o.token)
			answer, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			var p struct{ Next string }
			require.NoError(t, json.Unmarshal(text, &p))
			if p.Next == "" {
				return answer.StatusCode, string(text)
			}
			after = "&after=" + p.Next
		}
	}
	id := last.Headers["message-id"]
	status, body := search("GET", "/api/queues/message?destination=/queue/deep", id)
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"body":"last"`)
	status, body = search("POST", "/api/queues/requeue?destination=/queue/deep&to=/queue/up", id)
	require.Equal(t, 200, status, body)
	for _, path := range []string{"message?destination=/queue/deep", "requeue?destination=/queue/deep&to=/queue/up"} {
		status, body = search(map[bool]string{true: "GET", false: "POST"}[path[0] == 'm'], "/api/queues/"+path, id)
		require.Equal(t, 404, status, body)
		require.Contains(t, body, "there is no message with that id in /queue/deep")
	}
	o.ask("GET", "/api/queues/message?destination=/queue/deep&id=x&after=y", 400, nil)
	o.ask("POST", "/api/queues/requeue?destination=/queue/deep&to=/queue/up&id=x&after=y", 400, nil)
}

func TestADeadLetterGoesBackAlone(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxDeliveries: 1}}}})
	c := test.Dial(t, n).Connect()
	c.Subscribe("w", "/queue/work", "ack", "client-individual")
	for _, body := range []string{"one", "two"} {
		c.Send(frames.SEND, "destination", "/queue/work", body)
		c.Send(frames.NACK, "id", c.Message(body).Get("ack"))
	}
	c.Send(frames.UNSUBSCRIBE, "id", "w", "receipt", "u")
	c.Receipt("u")
	o := newOperator(t, n, auth.AllGrants())
	var seen httpapi.Peeked
	require.Eventually(t, func() bool { return n.Broker.Stats().Dead == 2 }, test.Patience, 5*time.Millisecond)
	o.ask("GET", "/api/queues/peek?destination=/queue/DLQ.work", 200, &seen)
	require.Len(t, seen.Messages, 2)
	second := seen.Messages[1]
	var answer struct{ Moved, To string }
	o.ask("POST", "/api/queues/requeue?destination=/queue/DLQ.work&id="+second.Headers["message-id"], 200, &answer)
	require.Equal(t, "/queue/work", answer.To)
	c.Subscribe("w", "/queue/work")
	require.Empty(t, c.Message(*second.Body).Get("dead-letter-origin"))
	o.ask("GET", "/api/queues/peek?destination=/queue/DLQ.work", 200, &seen)
	require.Len(t, seen.Messages, 1)
}

func TestEachRequestOfAnOperatorIsLogged(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	log := new(test.Log)
	server := httptest.NewServer(httpapi.New(n.Broker, httpapi.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
	defer server.Close()
	token := test.Token(t, "boss", time.Hour, auth.Grants{Send: []string{"/session/disconnect/ann"}})
	for _, path := range []string{"/api/bans?user=ann&for=1h", "/api/bans?user=bob&for=1h", "/api/users/ann/unsubscribe?destination=/topic/a", "/api/queues/purge?destination=/queue/a"} {
		r, err := http.NewRequest(http.MethodPost, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 4, log.String())
	for i, parts := range [][]string{
		{`request="POST /api/bans"`, `query="user=ann&for=1h"`}, {`query="user=bob&for=1h"`, "no send permission"},
		{"path=/api/users/ann/unsubscribe"}, {`path=/api/queues/purge`, "no subscribe permission"},
	} {
		for _, part := range append(parts, "level=INFO", `msg="an operator's request"`, "by=boss", "remote=127.0.0.1:") {
			require.Contains(t, lines[i], part)
		}
	}
	require.NotContains(t, log.String(), token)
}
