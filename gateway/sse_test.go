package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/codes"
	"github.com/stompbox/stompbox/internal/test"
)

// eventsOf serves a node's streams.
func eventsOf(t testing.TB, n *test.Node, o gateway.EventsOptions) *httptest.Server {
	events := gateway.NewEvents(n.Broker, o)
	server := httptest.NewUnstartedServer(events)
	server.EnableHTTP2 = true
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		events.Wait()
	})
	return server
}

// sse is one event as a browser reads it.
type sse struct{ event, data, id string }

// stream is a client of server-sent events.
type stream struct {
	t      testing.TB
	answer *http.Response
	lines  *bufio.Reader
	lastID string
	retry  string
	beats  int
}

type ask struct {
	client  *http.Client
	user    string
	grants  auth.Grants
	lastID  string
	headers map[string]string
	query   string // in place of destinations
}

func (a ask) do(t testing.TB, server *httptest.Server, destinations ...string) *http.Response {
	t.Helper()
	query := a.query
	if query == "" {
		query = url.Values{"destination": destinations}.Encode()
	}
	r, err := http.NewRequest(http.MethodGet, server.URL+"/events?"+query, nil)
	require.NoError(t, err)
	if a.user != "" {
		r.Header.Set("Authorization", "Bearer "+test.Token(t, a.user, time.Hour, a.grants))
	}
	if a.lastID != "" {
		r.Header.Set("Last-Event-ID", a.lastID)
	}
	for name, value := range a.headers {
		r.Header.Set(name, value)
	}
	if a.client == nil {
		a.client = http.DefaultClient
	}
	answer, err := a.client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func (a ask) stream(t testing.TB, server *httptest.Server, destinations ...string) *stream {
	t.Helper()
	answer := a.do(t, server, destinations...)
	s := &stream{t: t, answer: answer, lines: bufio.NewReader(answer.Body)}
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		require.Equal(t, http.StatusOK, answer.StatusCode, "%s", body)
	}
	require.Equal(t, "connected", s.next().event)
	return s
}

// read returns the next event that a page would see, or an error at the end.
func (s *stream) read() (e sse, err error) {
	seen := false
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			if e.id != "" {
				s.lastID = e.id
			}
			if seen {
				e.data = strings.TrimSuffix(e.data, "\n")
				return e, nil
			}
			e = sse{}
		case line == ":":
			s.beats++
		case name == "data":
			e.data += value + "\n"
			seen = true
		case name == "event":
			e.event = value
		case name == "id":
			e.id = value
		case name == "retry":
			s.retry = value
		default:
			return e, fmt.Errorf("line %q", line)
		}
	}
}

func (s *stream) next() sse {
	s.t.Helper()
	e, err := s.read()
	require.NoError(s.t, err)
	return e
}

func (s *stream) data(want string) sse {
	s.t.Helper()
	e := s.next()
	require.Equal(s.t, want, e.data)
	return e
}

func TestEventsAreWhatSubscribersGet(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{HeartBeat: time.Second})
	server.Start()
	tab1 := ask{user: "alice"}.stream(t, server, "/topic/prices", "/user/queue/notes")
	tab2 := ask{user: "alice"}.stream(t, server, "/topic/prices", "/user/queue/notes")
	require.Equal(t, "2000", tab1.retry)
	require.Equal(t, "text/event-stream; charset=utf-8", tab1.answer.Header.Get("Content-Type"))
	require.Equal(t, "no", tab1.answer.Header.Get("X-Accel-Buffering"))
	sender := test.Dial(t, n).Connect()
	sender.Send(frames.SEND, "destination", "/topic/prices", "one\ntwo\r\nthree\rfour\n")
	sender.Send(frames.SEND, "destination", "/topic/prices", "event", "tick", "")
	sender.Send(frames.SEND, "destination", "/user/alice/queue/notes", "event", "no\nname", "for alice")
	sender.Send(frames.SEND, "destination", "/user/bob/queue/notes", "for bob")
	sender.Send(frames.SEND, "destination", "/topic/prices", "content-type", "image/png", "\xff\x00")
	for _, tab := range []*stream{tab1, tab2} {
		require.Empty(t, tab.data("one\ntwo\nthree\nfour\n").event)
		require.Equal(t, "tick", tab.data("").event)
		require.Empty(t, tab.data("for alice").event)
		refused := tab.next()
		require.Equal(t, gateway.EventBinary, refused.event)
		require.Contains(t, refused.data, "image/png")
	}
	binary := ask{user: "alice", query: "destination=/topic/prices&format=base64"}.stream(t, server)
	whole := ask{user: "alice", query: "destination=/topic/**&format=json"}.stream(t, server)
	sender.Send(frames.SEND, "destination", "/topic/prices", "colour", "red", "\xff\x00")
	binary.data("/wA=")
	var envelope struct {
		Destination, User string
		Headers           map[string]string
		Body              *string
		BodyBase64        []byte `json:"body_base64"`
		Base64            []byte
	}
	require.NoError(t, json.Unmarshal([]byte(whole.next().data), &envelope))
	require.Equal(t, "/topic/prices", envelope.Destination)
	require.Equal(t, "guest", envelope.User)
	require.Equal(t, "red", envelope.Headers["colour"])
	require.Nil(t, envelope.Body)
	require.Equal(t, []byte("\xff\x00"), envelope.BodyBase64)
	require.Equal(t, envelope.BodyBase64, envelope.Base64, "the name that it had first")

	// Comments keep proxies from giving up on a silent stream.
	time.Sleep(2500 * time.Millisecond)
	sender.Send(frames.SEND, "destination", "/topic/prices", "after silence")
	tab1.next() // the binary one
	tab1.data("after silence")
	require.Positive(t, tab1.beats)
}

func TestEventsReplayWhatWasMissed(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1, Histories: test.Histories(t)})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Histories: test.Histories(t)})
	sender := test.Dial(t, a).Connect()
	o := gateway.EventsOptions{MaxLifetime: test.Patience}
	servers := []*httptest.Server{eventsOf(t, a, o), eventsOf(t, b, o)}
	for _, s := range servers {
		s.Start()
	}
	for _, destinations := range [][]string{{"/topic/chat.a"}, {"/topic/chat.a", "/topic/chat.b", "/topic/plain", "/user/queue/notes"}} {
		several := len(destinations) > 1
		last, sent := "", 0
		want := func() (all []string) {
			for range 3 {
				sent++
				body := strconv.Itoa(sent)
				sender.SendKept("/topic/chat.a", body)
				all = append(all, body)
				if several {
					sender.SendKept("/topic/chat.b", body+"b")
					sender.SendKept("/user/alice/queue/notes", body+"n")
					all = append(all, body+"b", body+"n")
				}
			}
			return all
		}
		var missed []string
		for round := range 6 {
			s := ask{user: "alice", lastID: last}.stream(t, servers[round%2], destinations...)
			live := missed
			if round != 1 { // once nothing is read at all, but where it begins
				live = append(live, want()...)
			}
			got := make(map[string]int)
			for range live {
				e := s.next()
				if e.event != "" {
					require.Equal(t, "replay-incomplete", e.event)
					require.True(t, several && e.data == "/topic/plain", e.data)
					continue
				}
				got[e.data]++
			}
			for _, body := range live {
				require.Equal(t, 1, got[body], "%s in round %d", body, round)
			}
			if round == 1 {
				continue // the mark before stays good
			}
			last = s.lastID
			_ = s.answer.Body.Close()
			missed = want()
		}
	}
	// Before the first message a browser knows where it began.
	early := ask{user: "alice"}.stream(t, servers[0], "/topic/chat.new")
	first, err := early.lines.ReadString('\n')
	require.NoError(t, err)
	id, ok := strings.CutPrefix(first, "id: ")
	require.True(t, ok, first)
	_ = early.answer.Body.Close()
	sender.SendKept("/topic/chat.new", "in between")
	ask{user: "alice", query: "destination=/topic/chat.new&last-event-id=" + strings.TrimSpace(id)}.stream(t, servers[1]).data("in between")

	// The event about a gap that cannot be filled comes first.
	for _, lastID := range []string{"other-17", "a,b,c"} {
		gap := ask{user: "alice", lastID: lastID}.stream(t, servers[0], "/topic/chat.new")
		require.Equal(t, sse{event: "replay-incomplete", data: "/topic/chat.new"}, gap.next())
		gap.data("in between")
	}
	// Where nothing is kept, that is known before anything is sent.
	plain := []string{"/topic/plain", "/topic/plain2"}
	left := ask{user: "alice", lastID: "lost-1,lost-2"}.stream(t, servers[0], plain...)
	require.Equal(t, sse{event: "replay-incomplete", data: plain[0]}, left.next())
	require.Equal(t, sse{event: "replay-incomplete", data: plain[1]}, left.next())
	sender.Send(frames.SEND, "destination", plain[1], "two")
	lastID := left.data("two").id
	_ = left.answer.Body.Close()
	back := ask{user: "alice", lastID: lastID}.stream(t, servers[0], plain...)
	require.Equal(t, sse{event: "replay-incomplete", data: plain[0]}, back.next())
	require.Equal(t, sse{event: "replay-incomplete", data: plain[1]}, back.next())
	sender.Send(frames.SEND, "destination", plain[0], "one")
	back.data("one")

	empty := ask{user: "alice", lastID: "other-17"}.stream(t, servers[0], "/topic/chat.nothing")
	require.Equal(t, "replay-incomplete", empty.next().event)
}

func TestEventsRefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	server := eventsOf(t, n, gateway.EventsOptions{AllowedOrigins: []string{"https://app.example"}, Cookie: "session"})
	server.Start()
	token := test.Token(t, "alice", time.Hour, auth.Grants{Subscribe: []string{"/topic/mine.*", "/user/**"}})
	for name, c := range map[string]struct {
		ask    ask
		status int
		says   string
	}{
		"no destination":     {ask{user: "a", query: "format=text"}, 400, "1 to 32 parameters destination"},
		"too many":           {ask{user: "a", query: strings.Repeat("destination=/topic/a&", 33)}, 400, "1 to 32"},
		"unknown parameter":  {ask{user: "a", query: "destination=/topic/a&topic=x"}, 400, "there is no parameter"},
		"format":             {ask{user: "a", query: "destination=/topic/a&format=xml"}, 400, "text, json or base64"},
		"prefix":             {ask{user: "a", query: "destination=/nowhere/a"}, 400, "has to begin with"},
		"a queue":            {ask{user: "a", query: "destination=/queue/a"}, 400, "takes STOMP"},
		"a request":          {ask{user: "a", query: "destination=/app/a"}, 400, "takes STOMP"},
		"pattern":            {ask{user: "a", query: "destination=/topic/**/a"}, 400, "last word"},
		"two histories":      {ask{user: "a", query: "destination=/topic/**"}, 400, "narrower pattern"},
		"nobody":             {ask{query: "destination=/topic/a"}, 401, "send a valid token"},
		"bad token":          {ask{query: "destination=/topic/a&access_token=x.y.z"}, 401, "send a valid token"},
		"no permission":      {ask{query: "destination=/topic/a&access_token=" + token}, 403, "no subscribe permission"},
		"one of two":         {ask{query: "destination=/topic/mine.1&destination=/topic/a&access_token=" + token}, 403, "no subscribe permission"},
		"cookie, bad origin": {ask{query: "destination=/topic/mine.1", headers: map[string]string{"Cookie": "session=" + token, "Origin": "https://evil.example"}}, 403, "may not use the cookie"},
		"cookie, cross site": {ask{query: "destination=/topic/mine.1", headers: map[string]string{"Cookie": "session=" + token, "Sec-Fetch-Site": "cross-site"}}, 403, "may not use the cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := c.ask.do(t, server)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, answer.StatusCode, "%s", body)
			require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
			require.Contains(t, string(body), c.says)
			entry, known := codes.Of(broker.Code(problemOf(t, bytes.NewReader(body)).Code))
			require.True(t, known, "%s", body)
			require.Equal(t, c.status, entry.Status, "%s", body)
			require.Equal(t, c.status == 401, answer.Header.Get("WWW-Authenticate") != "")
			require.NotContains(t, n.Log.String(), token)
		})
	}
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, 10*time.Millisecond)
	require.Equal(t, map[broker.Endpoint]map[broker.Code]int64{broker.EndpointEvents: {broker.CodeUnauthenticated: 2}}, n.Broker.Stats().Unauthenticated)

	open := eventsOf(t, n, gateway.EventsOptions{AllowedOrigins: []string{"*"}, Cookie: "session"})
	open.Start()
	anyPage := map[string]string{"Cookie": "session=" + token, "Origin": "https://any.example"}
	refused := ask{query: "destination=/topic/mine.1", headers: anyPage}.do(t, open)
	require.Equal(t, http.StatusForbidden, refused.StatusCode, "* lets any page in with a token, not with the cookie of its visitor")
	require.Empty(t, refused.Header.Get("Access-Control-Allow-Credentials"))

	ok := ask{query: "destination=/topic/mine.1", headers: map[string]string{"Cookie": "session=" + token, "Origin": "https://app.example"}}.stream(t, server)
	require.Equal(t, "https://app.example", ok.answer.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", ok.answer.Header.Get("Access-Control-Allow-Credentials"))
	foreign := ask{query: "destination=/topic/mine.1&access_token=" + token, headers: map[string]string{"Origin": "https://evil.example"}}.stream(t, server)
	require.Empty(t, foreign.answer.Header.Get("Access-Control-Allow-Origin"), "its browser does not let it read")
	preflight, err := http.NewRequest(http.MethodOptions, server.URL+"/events", nil)
	require.NoError(t, err)
	preflight.Header.Set("Origin", "https://app.example")
	answer, err := http.DefaultClient.Do(preflight)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	require.Contains(t, answer.Header.Get("Access-Control-Allow-Headers"), "Authorization")
}

func TestEventsEndWithTheirLifetimeTokenAndServer(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{MaxLifetime: time.Second})
	server.Start()
	s := ask{user: "alice"}.stream(t, server, "/topic/a")
	_, err := s.read()
	require.Equal(t, io.EOF, err, "a clean end, so that the browser comes back")
	ended := regexp.MustCompile(`msg="session ended" .*code=lifetime-over .*`)
	require.Eventually(t, func() bool { return ended.MatchString(n.Log.String()) }, test.Patience, time.Millisecond)
	require.NotContains(t, ended.FindString(n.Log.String()), "error=")

	long := eventsOf(t, n, gateway.EventsOptions{})
	long.Start()
	token := test.Token(t, "alice", 5*time.Second, auth.Grants{})
	s = ask{query: "destination=/topic/a&access_token=" + token}.stream(t, long)
	e := s.next()
	require.Equal(t, "problem", e.event)
	require.Contains(t, e.data, "token-expired")
	_, err = s.read()
	require.Equal(t, io.EOF, err)

	s = ask{user: "alice"}.stream(t, long, "/topic/a")
	require.NoError(t, n.Broker.Shutdown(context.Background()))
	_, err = s.read()
	require.Equal(t, io.EOF, err)
	late, err := http.Get(long.URL + "/events?destination=/topic/a")
	if err == nil {
		_ = late.Body.Close()
	}
	require.Error(t, err, "no answer, since a browser would take any but 200 as final")
}

// TestEventsEndWhenTheirPermissionIsTakenAway: also those that are being opened.
func TestEventsEndWhenTheirPermissionIsTakenAway(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	s := ask{user: "alice"}.stream(t, server, "/topic/a", "/topic/b")
	other := ask{user: "bob"}.stream(t, server, "/topic/a")
	permissions, err := auth.NewPermissions(auth.Grants{Subscribe: []string{"/topic/b"}}, "alice")
	require.NoError(t, err)
	n.Broker.Reauthorize(func(p *auth.Principal) (*auth.Principal, error) {
		switch p.Name {
		case "alice":
			renewed := *p
			renewed.Permissions = permissions
			return &renewed, nil
		case "carol":
			return nil, auth.ErrUnauthenticated
		}
		return p, nil
	})
	e := s.next()
	require.Equal(t, "problem", e.event)
	require.Contains(t, e.data, "forbidden")
	_, err = s.read()
	require.Equal(t, io.EOF, err)
	require.Equal(t, http.StatusForbidden, ask{user: "alice"}.do(t, server, "/topic/a").StatusCode)
	require.Equal(t, http.StatusUnauthorized, ask{user: "carol"}.do(t, server, "/topic/a").StatusCode)
	test.Dial(t, n).Connect().Send(frames.SEND, "destination", "/topic/a", "still there")
	other.data("still there")
}

// TestEventsEndWhenAnOperatorEndsASubscription: as a whole, with the reason, and those of others go on.
func TestEventsEndWhenAnOperatorEndsASubscription(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	single := ask{user: "alice"}.stream(t, server, "/topic/a")
	several := ask{user: "alice"}.stream(t, server, "/topic/b", "/topic/a", "/user/queue/errors")
	all := ask{user: "alice"}.stream(t, server, "/topic/b")
	other := ask{user: "bob"}.stream(t, server, "/topic/a")
	ended, missing := n.Broker.Unsubscribe(t.Context(), admin.Unsubscription{User: "alice", Destination: "/topic/a", Reason: "too much"})
	require.Equal(t, 2, ended)
	require.Empty(t, missing)
	for _, s := range []*stream{single, several} {
		e := s.next()
		require.Equal(t, "problem", e.event)
		require.JSONEq(t, `{"code":"unsubscribed","message":"the subscription to /topic/a has ended: too much"}`, e.data)
		_, err := s.read()
		require.Equal(t, io.EOF, err)
	}
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/topic/a", "still there")
	other.data("still there")
	c.Send(frames.SEND, "destination", "/topic/b", "this one too")
	all.data("this one too")
}

// TestEventsOverHTTP2 has several streams on one connection.
func TestEventsOverHTTP2(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.StartTLS()
	var all []*stream
	for range 10 {
		s := ask{user: "alice", client: server.Client()}.stream(t, server, "/topic/chat.a")
		require.Equal(t, 2, s.answer.ProtoMajor)
		all = append(all, s)
	}
	sender := test.Dial(t, n).Connect()
	for i := range 50 {
		sender.SendKept("/topic/chat.a", strconv.Itoa(i))
	}
	for _, s := range all {
		for i := range 50 {
			s.data(strconv.Itoa(i))
		}
	}
	_ = all[0].answer.Body.Close()
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 10 }, test.Patience, 10*time.Millisecond)
	sender.SendKept("/topic/chat.a", "still")
	all[1].data("still")
}

// TestStreamsOverHTTP2EndWhileWritten has streams end while the broker writes to
// them: it must not use an answer whose handler has returned.
func TestStreamsOverHTTP2EndWhileWritten(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.StartTLS()
	sender := test.Dial(t, n).Connect()
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				// One in flight: a flood would make the streams slow consumers.
				sender.Send(frames.SEND, "destination", "/topic/a", "receipt", "r", "x")
				sender.Receipt("r")
			}
		}
	})
	for range 100 {
		s := ask{user: "alice", client: server.Client()}.stream(t, server, "/topic/a")
		s.data("x")
		_ = s.answer.Body.Close()
	}
	close(stop)
	sending.Wait()
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 1 }, test.Patience, 10*time.Millisecond)
}

func TestAThousandEventStreamsLoseNothing(t *testing.T) {
	t.Parallel()
	const streams, messages = 1000, 100
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 0}}
	defer client.CloseIdleConnections()
	var reading sync.WaitGroup
	for i := range streams {
		s := ask{user: "u" + strconv.Itoa(i%10), client: client}.stream(t, server, "/topic/a")
		reading.Go(func() {
			for k := range messages {
				if e, err := s.read(); err != nil || e.data != strconv.Itoa(k) {
					t.Errorf("%v %v in place of %d", e, err, k)
					return
				}
			}
		})
	}
	sender := test.Dial(t, n).Connect()
	for k := range messages {
		sender.Send(frames.SEND, "destination", "/topic/a", strconv.Itoa(k))
	}
	reading.Wait()
}

// TestAStalledEventReaderIsBounded reads nothing of a stream: it is cut off, or gets
// the newest of each destination only, as the policy says.
func TestAStalledEventReaderIsBounded(t *testing.T) {
	t.Parallel()
	for _, policy := range []broker.Policy{broker.PolicyDisconnect, broker.PolicyConflate} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			n := test.Start(t, test.Options{Broker: broker.Options{Outbox: broker.OutboxOptions{MaxBytes: 256 << 10, MaxFrames: 100, Policy: policy}}})
			server := eventsOf(t, n, gateway.EventsOptions{})
			server.Start()
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
			_, err = fmt.Fprintf(c, "GET /events?destination=/topic/a&destination=/topic/b&access_token=%s HTTP/1.1\r\nHost: x\r\n\r\n", test.Token(t, "alice", time.Hour, auth.Grants{}))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return n.Broker.Stats().Subscriptions == 2 }, test.Patience, 10*time.Millisecond)
			sender := test.Dial(t, n).Connect()
			body := strings.Repeat("x", 32<<10)
			const count = 400
			for i := range count {
				sender.Send(frames.SEND, "destination", []string{"/topic/a", "/topic/b"}[i%2], strconv.Itoa(i)+" "+body)
			}
			sender.Quiet()
			require.Positive(t, n.Broker.Stats().Dropped)
			if policy == broker.PolicyDisconnect {
				require.EqualValues(t, 1, n.Broker.Stats().Errors[broker.CodeSlowConsumer])
				return
			}
			lines := bufio.NewScanner(c)
			lines.Buffer(nil, 1<<20)
			newest := 0
			for newest < count-1 && lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !strings.HasPrefix(data, "{") {
					i, err := strconv.Atoi(strings.Fields(data)[0])
					require.NoError(t, err)
					newest = max(newest, i)
				}
			}
			require.Equal(t, count-1, newest, "the newest is there; %v %s", lines.Err(), n.Log)
		})
	}
}

// TestPublishersCannotForgeEventsOfTheBroker: an event of such a name comes without it.
func TestPublishersCannotForgeEventsOfTheBroker(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	s := ask{user: "alice"}.stream(t, server, "/topic/a")
	sender := test.Dial(t, n).Connect()
	for _, name := range []string{"connected", "problem", "replay-incomplete", "binary-refused", "heartbeat", "message", "open", "error", "mine"} {
		sender.Send(frames.SEND, "destination", "/topic/a", "event", name, name)
		want := ""
		if name == "mine" {
			want = name
		}
		require.Equal(t, want, s.data(name).event)
	}
	sender.Send(frames.SEND, "destination", "/topic/a", "\xff")
	require.Equal(t, gateway.EventBinary, s.next().event)
}
