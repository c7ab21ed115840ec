package httpapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
)

// api serves a node's HTTP API, and returns how to ask it as a user.
func api(t *testing.T, n *test.Node) (get func(user string, grants auth.Grants, path string) (int, string)) {
	server := apiServer(t, n)
	return func(user string, grants auth.Grants, path string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+test.Token(t, user, time.Hour, grants))
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
}

func TestRegistryAnswersForAllNodes(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Name: "north"})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Name: "south"})
	get := api(t, a)
	as := func(n *test.Node, user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
	}
	alice1, alice2, bob := as(a, "alice"), as(b, "alice"), as(b, "bo/b")
	alice1.Subscribe("x", "/topic/chat.lobby")
	alice2.Subscribe("1", "/topic/chat.lobby")
	alice2.Subscribe("2", "/queue/work", "ack", "client")
	bob.Subscribe("x", "/topic/chat.*")
	bob.Subscribe("y", "/user/queue/notes")
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 }, test.Patience, 10*time.Millisecond)

	status, body := get("admin", auth.Grants{}, "/api/users")
	require.Equal(t, 200, status, body)
	var users struct {
		Users []admin.UserInfo
		Next  string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &users))
	require.Len(t, users.Users, 2)
	require.Equal(t, "alice", users.Users[0].Name)
	require.Equal(t, 2, users.Users[0].Sessions)
	require.ElementsMatch(t, []string{"north", "south"}, users.Users[0].Nodes)
	bo := users.Users[1]
	require.Equal(t, []any{"bo/b", 1, []string{"south"}}, []any{bo.Name, bo.Sessions, bo.Nodes})
	require.Equal(t, []any{2, []string{"127.0.0.1"}, 0}, []any{bo.Subscriptions, bo.Addresses, bo.QueuedFrames})
	require.Positive(t, bo.ReceivedBytes)
	require.Positive(t, bo.SentBytes)
	require.Equal(t, 2, users.Users[0].Subscriptions-1, "of sessions on both nodes")

	status, body = get("admin", auth.Grants{}, "/api/users?limit=1")
	require.Equal(t, 200, status)
	require.NoError(t, json.Unmarshal([]byte(body), &users))
	require.Len(t, users.Users, 1)
	require.Equal(t, "alice", users.Next)
	_, body = get("admin", auth.Grants{}, "/api/users?limit=1&after=alice")
	require.Contains(t, body, "bo/b")

	status, body = get("admin", auth.Grants{}, "/api/users/bo%2Fb")
	require.Equal(t, 200, status, body)
	var user struct{ Sessions []admin.SessionInfo }
	require.NoError(t, json.Unmarshal([]byte(body), &user))
	require.Len(t, user.Sessions, 1)
	require.Equal(t, bob.Connected.Get("session"), user.Sessions[0].ID)
	require.Equal(t, "south", user.Sessions[0].Node)
	require.Equal(t, []admin.SubscriptionInfo{{ID: "x", Destination: "/topic/chat.*", Ack: "auto"}, {ID: "y", Destination: "/user/queue/notes", Ack: "auto"}}, user.Sessions[0].Subscriptions)
	require.WithinDuration(t, time.Now(), user.Sessions[0].Connected, time.Minute)
	status, _ = get("admin", auth.Grants{}, "/api/users/nobody")
	require.Equal(t, http.StatusNotFound, status)

	status, body = get("admin", auth.Grants{}, "/api/destinations")
	require.Equal(t, 200, status)
	var destinations struct{ Destinations []admin.DestinationInfo }
	require.NoError(t, json.Unmarshal([]byte(body), &destinations))
	byName := make(map[string]int)
	for _, d := range destinations.Destinations {
		byName[d.Destination] = d.Subscriptions
	}
	require.Equal(t, map[string]int{"/topic/chat.lobby": 2, "/topic/chat.*": 1, "/queue/work": 1, "/user/bo%2Fb/queue/notes": 1}, byName)

	status, body = get("admin", auth.Grants{}, "/api/presence?destination=/topic/chat.lobby")
	require.Equal(t, 200, status)
	require.NoError(t, json.Unmarshal([]byte(body), &users))
	require.Len(t, users.Users, 1)
	require.Equal(t, 2, users.Users[0].Sessions)

	// Who may do little sees little.
	little := auth.Grants{Send: []string{"/user/alice/**"}, Subscribe: []string{"/topic/other.*"}}
	_, body = get("eve", little, "/api/users")
	require.Contains(t, body, "alice")
	require.NotContains(t, body, "bo/b")
	status, body = get("eve", little, "/api/users/bo%2Fb")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "no send permission")
	_, body = get("eve", little, "/api/destinations")
	require.NotContains(t, body, "/topic/chat")
	status, _ = get("eve", little, "/api/presence?destination=/topic/chat.lobby")
	require.Equal(t, http.StatusForbidden, status)
	for _, path := range []string{"/api/presence", "/api/presence?destination=/topic/*", "/api/presence?destination=/queue/a", "/api/users?limit=0", "/api/users?limit=x"} {
		status, body = get("admin", auth.Grants{}, path)
		require.Equal(t, http.StatusBadRequest, status, path)
		require.Contains(t, body, "the parameter")
	}
}

// TestPagesNameOnlyWhatTheCallerMaySee: where a page ends, and what is not listed, tell
// nothing of others.
func TestPagesNameOnlyWhatTheCallerMaySee(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for _, user := range []string{"adam", "bert", "carl", "dora"} {
		c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.AllGrants()))
		c.Subscribe("s", "/topic/secret."+user)
		c.Subscribe("o", "/topic/open."+user)
	}
	get := api(t, n)
	grants := auth.Grants{Send: []string{"/user/dora/**", "/user/bert/**"}, Subscribe: []string{"/topic/open.*"}}
	status, body := get("eve", grants, "/api/users?limit=1")
	require.Equal(t, 200, status)
	var page struct {
		Users []admin.UserInfo
		Next  string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &page))
	require.Len(t, page.Users, 1)
	require.Equal(t, []any{"bert", 1, []string{n.Broker.Node()}, "bert"}, []any{page.Users[0].Name, page.Users[0].Sessions, page.Users[0].Nodes, page.Next})
	_, body = get("eve", grants, "/api/users?limit=1&after=bert")
	require.Contains(t, body, "dora")
	require.NotContains(t, body, "next")
	_, body = get("eve", auth.Grants{Send: []string{"/topic/**"}}, "/api/users?limit=1")
	require.JSONEq(t, `{"users":[]}`, body)
	_, body = get("eve", grants, "/api/destinations?limit=2")
	require.NotContains(t, body, "secret")
	require.Contains(t, body, `"next":"/topic/open.bert"`)
}

// TestAUserIsOneWord: the dots in a name, and how a sender encodes it, make no
// difference to histories, permissions, other nodes and the API.
func TestAUserIsOneWord(t *testing.T) {
	t.Parallel()
	notes := test.History(t, "notes", "/user/*/queue/notes", 10)
	a := test.Start(t, test.Options{NATSPort: -1, Histories: []driver.HistoryPolicy{notes}})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: []driver.HistoryPolicy{notes}})
	server := apiServer(t, a)
	all := auth.Grants{Send: []string{"/user/*/queue/*", "/session/disconnect/*"}, Subscribe: []string{"/user/**"}}
	as := func(n *test.Node, user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, all))
	}
	ask := func(method, path string) (int, string) {
		r, err := http.NewRequest(method, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+test.Token(t, "ops", time.Hour, all))
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
	sender := as(a, "ops")
	for user, spellings := range map[string][]string{
		"bob":             {"bob", "%62ob"},
		"bob@example.com": {"bob@example.com", "bob%40example.com", "bob%40example%2ecom"},
		"a.b/c%":          {"a.b%2Fc%25", "a%2eb%2fc%25"},
	} {
		own := as(b, user)
		own.Subscribe("live", "/user/queue/live")
		own.Subscribe("notes", "/user/queue/notes")
		for _, spelling := range spellings {
			sender.Send(frames.SEND, "destination", "/user/"+spelling+"/queue/live", "receipt", "live", spelling)
			sender.Receipt("live")
			f := own.Expect(frames.MESSAGE)
			require.Equal(t, spelling, string(f.Body))
			require.Equal(t, "/user/queue/live", f.Get("destination"))
			sender.Send(frames.SEND, "destination", "/user/"+spelling+"/queue/notes", "receipt", "note", spelling)
			sender.Receipt("note")
			require.Equal(t, spelling, string(own.Expect(frames.MESSAGE).Body))
		}
		later := as(b, user)
		later.Send(frames.SUBSCRIBE, "id", "1", "destination", "/user/queue/notes", "replay-last", "10")
		for _, spelling := range spellings {
			require.Equal(t, spelling, string(later.Expect(frames.MESSAGE).Body), "all spellings are one destination")
		}
		status, body := ask(http.MethodGet, "/api/users/"+url.PathEscape(user))
		require.Equal(t, http.StatusOK, status, body)
		status, body = ask(http.MethodGet, "/api/destinations")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, `"/user/`+destination.EscapeSegment(user)+`/queue/live"`)
		status, body = ask(http.MethodPost, "/api/users/"+url.PathEscape(user)+"/disconnect")
		require.Equal(t, http.StatusOK, status, body)
		own.Error("")
		later.Error("")
	}
}

// TestRequestsOfAnAddressHaveARate: for all its users, also without credentials that are taken; but
// what is sent is not among them.
func TestRequestsOfAnAddressHaveARate(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{AddressRequestRate: 3}}})
	p := newPoster(t, n, "eve", auth.AllGrants())
	for _, token := range []string{"none", p.token} {
		require.Eventually(t, func() bool {
			r, err := http.NewRequest(http.MethodGet, p.url+"/api/nodes", nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+token)
			got, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer got.Body.Close()
			text, err := io.ReadAll(got.Body)
			require.NoError(t, err)
			return got.StatusCode == http.StatusTooManyRequests && got.Header.Get("Retry-After") == "1" && strings.Contains(string(text), "limits.address_request_rate")
		}, test.Patience, time.Millisecond)
	}
	require.NotZero(t, n.Broker.Stats().Limited["address_request_rate"])
	require.Equal(t, 200, p.send(`{"destination":"/topic/a"}`).Status)
}

// TestRequestsHaveARate: who asks too often is refused, whatever is asked; others are not, and
// what sends has the rate of messages.
func TestRequestsHaveARate(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{UserRequestRate: 3}}})
	log := new(test.Log)
	server := httptest.NewServer(httpapi.New(n.Broker, httpapi.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
	t.Cleanup(server.Close)
	p := &poster{t, server.URL, test.Token(t, "eve", time.Hour, auth.AllGrants())}
	get := func(path, token string) (status int, retryAfter string) {
		r, err := http.NewRequest(http.MethodGet, p.url+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		got, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, got.Body.Close())
		return got.StatusCode, got.Header.Get("Retry-After")
	}
	paths := []string{"/api/users", "/api/destinations", "/api/queues", "/api/presence?destination=/topic/a", "/api/nodes", "/api/users/bob"}
	require.Eventually(t, func() bool {
		status, retryAfter := get(paths[0], p.token)
		paths = append(paths[1:], paths[0])
		return status == http.StatusTooManyRequests && retryAfter == "1"
	}, test.Patience, time.Millisecond)
	require.NotZero(t, n.Broker.Stats().Limited["user_request_rate"])
	require.Regexp(t, `level=INFO msg="a request was refused, since a limit was reached" limit=user_request_rate user=eve remote=127\.0\.0\.1:\d+ method=GET path=/api/`, log.String())
	status, _ := get("/api/users", test.Token(t, "bob", time.Hour, auth.AllGrants()))
	require.Equal(t, 200, status)
	require.Equal(t, 200, p.send(`{"destination":"/topic/a"}`).Status)
}
