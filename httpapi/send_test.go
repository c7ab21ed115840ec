package httpapi_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/codes"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/relay"
)

// answer is what a POST to the API gets.
type answer struct {
	Status   int
	Replayed bool
	Sent     int
	Failed   []struct {
		Index int
		Code  string
	}
	Detail, Code string
	Type         string
	Index        *int
	Disconnected int
	Moved, Left  int
}

// poster sends requests to a node's API as a user.
type poster struct {
	t     *testing.T
	url   string
	token string
}

func newPoster(t *testing.T, n *test.Node, user string, grants auth.Grants) *poster {
	return &poster{t, apiServer(t, n).URL, test.Token(t, user, time.Hour, grants)}
}

func (p *poster) post(path, body string, headers ...string) (a answer) {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, json.Unmarshal(text, &a), "%s", text)
	a.Status, a.Replayed = got.StatusCode, got.Header.Get("Idempotency-Replayed") == "true"
	return a
}

func (p *poster) send(body string, headers ...string) answer {
	p.t.Helper()
	return p.post("/api/send", body, headers...)
}

func TestSendOverHTTP(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	p := newPoster(t, n, "shop", auth.Grants{Send: []string{"/topic/**", "/queue/**", "/user/**", "/app/**"}})
	reader := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.AllGrants()))
	reader.Subscribe("t", "/topic/prices")
	reader.Subscribe("u", "/user/queue/notes")

	require.Equal(t, answer{Status: 200, Sent: 1}, p.send(`{"destination":"/topic/prices","headers":{"unit":"EUR","user":"forged"},"body":"1.50"}`))
	m := reader.Message("1.50")
	require.Equal(t, "EUR", m.Get("unit"))
	require.Equal(t, "shop", m.Get("user"))
	require.Equal(t, 200, p.send(`{"destination":"/user/alice/queue/notes","body":{"order": 7}}`).Status)
	require.Equal(t, "application/json", reader.Message(`{"order": 7}`).Get("content-type"))
	require.Equal(t, 200, p.send(`{"destination":"/topic/prices","body_base64":"AAEC"}`).Status)
	reader.Message("\x00\x01\x02")
	require.Equal(t, 200, p.send(`{"destination":"/topic/prices"}`).Status)
	reader.Message("")

	batch := p.send(`{"messages":[{"destination":"/topic/prices","body":"a"},{"destination":"/app/nobody","body":"b"},{"destination":"/queue/orders","body":"c"},{"destination":"/queue/orders","body":"d"}]}`)
	require.Equal(t, 3, batch.Sent)
	require.Len(t, batch.Failed, 1)
	require.Equal(t, 1, batch.Failed[0].Index)
	require.Equal(t, "no-app-server", batch.Failed[0].Code)
	reader.Message("a")
	reader.Subscribe("q", "/queue/orders")
	reader.Message("c")
	reader.Message("d")

	server := test.Dial(t, n).Connect()
	server.Subscribe("app", "/app/work")
	require.Equal(t, 1, p.send(`{"destination":"/app/work","body":"do it"}`).Sent)
	require.Equal(t, "shop", server.Message("do it").Get("user"))
	reader.Quiet()
}

// TestATraceparentOfARequestIsThatOfItsMessages also where the node itself traces nothing.
func TestATraceparentOfARequestIsThatOfItsMessages(t *testing.T) {
	t.Parallel()
	const parent, own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{Frame: frames.Limits{MaxHeaders: 8}}}})
	p := newPoster(t, n, "shop", auth.AllGrants())
	reader := test.Dial(t, n).Connect()
	reader.Subscribe("t", "/topic/a")
	for _, body := range []string{`{"destination":"/topic/a","body":"one"}`, `{"messages":[{"destination":"/topic/a","body":"one"},{"destination":"/topic/a","headers":{"traceparent":"` + own + `"},"body":"two"}]}`} {
		require.Equal(t, 200, p.send(body, "Traceparent", parent, "Idempotency-Key", body[:20]).Status)
		require.Equal(t, parent, reader.Message("one").Get("traceparent"))
	}
	require.Equal(t, own, reader.Message("two").Get("traceparent"))
	full := `{"destination":"/topic/a","headers":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":""},"body":"full"}`
	require.Equal(t, 200, p.send(full, "Traceparent", parent).Status, "a message has no fewer headers for it")
	require.Empty(t, reader.Message("full").Get("traceparent"))
	require.Equal(t, 200, p.send(`{"destination":"/topic/a","body":"none"}`, "Traceparent", "00-x").Status)
	require.Empty(t, reader.Message("none").Get("traceparent"))
}

// moderate is an interceptor of an embedding program.
func moderate(next broker.ActionFunc) broker.ActionFunc {
	return func(ctx context.Context, a *broker.Action) error {
		switch string(a.Body) {
		case "swear":
			return broker.Reject("mind your language")
		case "attack":
			return errors.New("you are not welcome")
		}
		return next(ctx, a)
	}
}

func TestWhatCannotBeSentOverHTTP(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{
		Interceptors: []broker.Interceptor{{Send: moderate}},
		Limits:       broker.Limits{Frame: frames.Limits{MaxBody: 100, MaxHeaders: 6}, MaxTransactionFrames: 3, MaxTransactionBytes: 150},
	}})
	p := newPoster(t, n, "shop", auth.Grants{Send: []string{"/topic/**", "/app/**", "/queue/**"}})
	reader := test.Dial(t, n).Connect()
	reader.Subscribe("t", "/topic/**")
	long := strings.Repeat("x", 101)
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"destination":"/topic/a"`, 400, "invalid request body"},
		{`{"destination":"/topic/a","boddy":"x"}`, 400, `unknown field "boddy"`},
		{`{"destination":7}`, 400, "destination cannot be a JSON number"},
		{`{"destination":"/topic/a","headers":{"a":1}}`, 400, "headers"},
		{`{"destination":"/topic/a"}{}`, 400, "something follows"},
		{`{}`, 400, "destination header is missing"},
		{`{"messages":[]}`, 400, "nothing to send"},
		{`{"messages":[{"destination":"/topic/a"}],"body":"x"}`, 400, "no destination, headers or body of its own"},
		{`{"destination":"/topic/a","body":"x","body_base64":"AA=="}`, 400, "two bodies"},
		{`{"destination":"/topic/a","body_base64":"-"}`, 400, "not base64"},
		{`{"destination":"/nowhere/a"}`, 400, "has to begin with"},
		{`{"destination":"/topic/*"}`, 400, "without wildcards"},
		{`{"destination":"/session/token","body":"x"}`, 400, "clients cannot send"},
		{`{"destination":"/reply/abc","headers":{"reply-to":"/temp-queue/a"}}`, 400, "an answer needs a session"},
		{`{"destination":"/app/a","headers":{"reply-to":"/temp-queue/a"}}`, 400, "an answer needs a session"},
		{`{"destination":"/topic/a","headers":{"":"x"}}`, 400, "empty name"},
		{`{"destination":"/topic/a","headers":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6","g":"7"}}`, 400, "too many headers"},
		{`{"destination":"/user/bob/queue/a"}`, 403, "no send permission"},
		{`{"destination":"/topic/a","body":"attack"}`, 403, "you are not welcome"},
		{`{"destination":"/topic/a","body":"swear"}`, 422, "mind your language"},
		{`{"destination":"/topic/a","body":"` + long + `"}`, 413, "larger than the limit of 100"},
		{`{"messages":[{"destination":"/topic/a","body":"` + long[:90] + `"},{"destination":"/topic/a","body":"` + long[:90] + `"}]}`, 413, "150 bytes together"},
		{`{"messages":[{"destination":"/topic/a"},{"destination":"/topic/a"},{"destination":"/topic/a"},{"destination":"/topic/a"}]}`, 413, "the limit is 3"},
		{`{"destination":"/topic/a","body":"` + strings.Repeat("x", 400) + `"}`, 413, "larger than the limit of 300"},
		{`{"destination":"/app/nobody"}`, 503, "no app server serves"},
	} {
		got := p.send(c.body)
		require.Equal(t, c.status, got.Status, "%s: %s", c.body, got.Detail)
		require.Contains(t, got.Detail, c.says, c.body)
		entry, known := codes.Of(broker.Code(got.Code))
		require.True(t, known, "%s: %s", c.body, got.Code)
		require.Equal(t, c.status, cmp.Or(entry.Status, 400), "%s: %s", c.body, got.Code)
		require.Equal(t, codes.URI(entry.Code), got.Type)
	}
	// One message that is wrong keeps all of a batch back.
	got := p.send(`{"messages":[{"destination":"/topic/a","body":"kept back"},{"destination":"/user/bob/queue/a"}]}`)
	require.Equal(t, 403, got.Status)
	require.Equal(t, "forbidden", got.Code)
	require.Equal(t, 1, *got.Index)
	require.Equal(t, 415, p.send(`{}`, "Content-Type", "text/plain").Status)
	require.Equal(t, 401, (&poster{t, p.url, "no token"}).send(`{}`).Status)
	require.Equal(t, 404, p.post("/api/unknown", `{}`).Status)
	reader.Quiet()
}

func TestSendsOverHTTPHaveARateToo(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MessageRate: 3}}})
	grants := auth.Grants{Send: []string{"/topic/**"}}
	p := newPoster(t, n, "shop", grants)
	const three = `{"messages":[{"destination":"/topic/a"},{"destination":"/topic/a"},{"destination":"/topic/a"}]}`
	require.Equal(t, 200, p.send(three).Status)
	var got answer
	require.Eventually(t, func() bool { // a machine that stands still may give a second away
		got = p.send(three)
		return got.Status == 429
	}, test.Patience, time.Millisecond)
	require.Equal(t, "message-rate", got.Code)
	p.token = test.Token(t, "other", time.Hour, grants)
	require.Equal(t, 200, p.send(three).Status, "each user has their own")
}

func TestAnIdempotencyKeySendsOnce(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	grants := auth.Grants{Send: []string{"/topic/**", "/queue/**", "/app/**"}}
	first, second := newPoster(t, a, "shop", grants), newPoster(t, b, "shop", grants)
	reader := test.Dial(t, a).Connect()
	reader.Subscribe("t", "/topic/a")

	const hello = `{"destination":"/topic/a","body":"hello"}`
	require.Equal(t, answer{Status: 200, Sent: 1}, first.send(hello, "Idempotency-Key", "k1"))
	require.Equal(t, answer{Status: 200, Sent: 1, Replayed: true}, second.send(hello, "Idempotency-Key", "k1"), "another node knows")
	reader.Message("hello")
	require.Equal(t, 422, second.send(`{"destination":"/topic/a","body":"other"}`, "Idempotency-Key", "k1").Status)
	require.Equal(t, 200, newPoster(t, a, "other", grants).send(hello, "Idempotency-Key", "k1").Status, "keys are each principal's own")
	reader.Message("hello")
	for _, wrong := range []string{"", strings.Repeat("x", 256)} {
		require.Equal(t, 400, first.send(hello, "Idempotency-Key", wrong).Status)
	}
	// What was not sent may be tried again.
	require.Equal(t, 503, first.send(`{"destination":"/app/late","body":"x"}`, "Idempotency-Key", "k2").Status)
	server := test.Dial(t, a).Connect()
	server.Subscribe("app", "/app/late")
	require.Equal(t, 200, first.send(`{"destination":"/app/late","body":"x"}`, "Idempotency-Key", "k2").Status)
	server.Message("x")

	// Many at once, on both nodes: one sends, the others hear so or come too early.
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			p := []*poster{first, second}[i%2]
			got := p.send(`{"messages":[{"destination":"/topic/a","body":"once"},{"destination":"/queue/a","body":"q"}]}`, "Idempotency-Key", "k3")
			if got.Status != 409 && (got.Status != 200 || got.Sent != 2) {
				t.Errorf("%+v", got)
			}
		})
	}
	wait.Wait()
	reader.Message("once")
	reader.Quiet()
	queue := test.Dial(t, a).Connect()
	queue.Subscribe("q", "/queue/a")
	queue.Message("q")
	queue.Quiet()
}

// forgetful is a store of records that fails once it has a request's first record, as for a
// node that dies before it notes what became of the request.
type forgetful struct {
	driver.IdempotencyStore
	died atomic.Bool
}

func (f *forgetful) PutRecord(ctx context.Context, key string, record []byte, last uint64) (uint64, error) {
	if last > 0 && f.died.CompareAndSwap(false, true) {
		return 0, driver.ErrUnavailable
	}
	return f.IdempotencyStore.PutRecord(ctx, key, record, last)
}

// TestAKeyIsFreeAgainWithinTheDedupWindow, so that the request which repeats one that died
// stores nothing twice.
func TestAKeyIsFreeAgainWithinTheDedupWindow(t *testing.T) {
	t.Parallel()
	for window, most := range map[time.Duration]int{8 * time.Second: 4, time.Hour: 30} {
		n := test.Start(t, test.Options{Queues: relay.QueueSettings{DedupWindow: window}, Wrap: func(d driver.Driver) driver.Driver {
			d.Idempotency = &forgetful{IdempotencyStore: d.Idempotency}
			return d
		}})
		p := newPoster(t, n, "shop", auth.Grants{Send: []string{"/queue/**"}})
		const one = `{"destination":"/queue/a","body":"one"}`
		require.Equal(t, 200, p.send(one, "Idempotency-Key", "k").Status)
		r, err := http.NewRequest(http.MethodPost, p.url+"/api/send", strings.NewReader(one))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+p.token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		got, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, got.Body.Close())
		if got.StatusCode == http.StatusOK {
			continue // this machine took so long
		}
		require.Equal(t, http.StatusConflict, got.StatusCode)
		wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
		require.NoError(t, err)
		require.LessOrEqual(t, wait, most)
	}
}

func TestDisconnectEndsTheSessionsOfAUser(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	require.Eventually(t, func() bool { return a.Relay.Stats().Nodes == 1 }, test.Patience, 10*time.Millisecond)
	as := func(n *test.Node, user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
	}
	first, second, third, bob := as(a, "al/ice"), as(b, "al/ice"), as(b, "al/ice"), as(a, "bob")
	friend := newPoster(t, a, "friend", auth.Grants{Send: []string{"/user/**", "/topic/**"}})
	got := friend.post("/api/users/al%2Fice/disconnect", "")
	require.Equal(t, 403, got.Status, "who may write to a user may not end their sessions")
	require.Contains(t, got.Detail, "/session/disconnect/al%2Fice")

	admin := newPoster(t, a, "admin", auth.Grants{Send: []string{"/session/disconnect/*"}})
	got = admin.post("/api/users/al%2Fice/disconnect?session="+second.Connected.Get("session"), "")
	require.Equal(t, answer{Status: 200, Disconnected: 1}, got)
	second.Error("ended by the application")
	require.Equal(t, 400, admin.post("/api/users/al%2Fice/disconnect?reason="+strings.Repeat("x", 201), "").Status)
	require.Equal(t, 2, admin.post("/api/users/al%2Fice/disconnect?reason=too+loud", "").Disconnected)
	first.Error("too loud")
	third.Error("too loud")
	require.Equal(t, answer{Status: 200}, admin.post("/api/users/nobody/disconnect", ""))
	bob.Quiet()
}

// TestABatchLargerThanTheRateIsSent: it takes the messages of several seconds, and its
// user waits for them afterwards.
func TestABatchLargerThanTheRateIsSent(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MessageRate: 2}}})
	p := newPoster(t, n, "shop", auth.Grants{Send: []string{"/topic/**"}})
	batch := `{"messages":[` + strings.Repeat(`{"destination":"/topic/a"},`, 99) + `{"destination":"/topic/a"}]}`
	require.Equal(t, answer{Status: 200, Sent: 100}, p.send(batch))
	r, err := http.NewRequest(http.MethodPost, p.url+"/api/send", strings.NewReader(`{"destination":"/topic/a"}`))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer got.Body.Close()
	require.Equal(t, http.StatusTooManyRequests, got.StatusCode)
	wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.LessOrEqual(t, wait, 50, "98 messages at 2 a second")
	require.Greater(t, wait, 10, "a slow machine may have taken some of it")
}

// TestBodiesOfRequestsCountAsIncoming has one request wait in the middle of its body, so that
// another one is too much.
func TestBodiesOfRequestsCountAsIncoming(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{Incoming: broker.ByteLimits{User: 1 << 20}}}})
	server := httptest.NewServer(httpapi.New(n.Broker, httpapi.Options{})) // the one of apiServer reads bodies first
	t.Cleanup(server.Close)
	p := &poster{t, server.URL, test.Token(t, "shop", time.Hour, auth.AllGrants())}
	reading, writing := io.Pipe()
	t.Cleanup(func() { _ = writing.Close() })
	first := make(chan int, 1)
	go func() {
		r, err := http.NewRequest(http.MethodPost, p.url+"/api/send", reading)
		if err != nil {
			first <- 0
			return
		}
		r.Header.Set("Authorization", "Bearer "+p.token)
		r.Header.Set("Content-Type", "application/json")
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			first <- 0
			return
		}
		_ = got.Body.Close()
		first <- got.StatusCode
	}()
	_, err := io.WriteString(writing, `{"destination":"/topic/a","body":"`+strings.Repeat("x", 512<<10))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory["incoming"] >= 448<<10 }, test.Patience, time.Millisecond)
	much := `{"destination":"/topic/a","body":"` + strings.Repeat("y", 768<<10) + `"}`
	refused := p.send(much)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	require.Equal(t, "memory-limit", refused.Code)
	require.Contains(t, refused.Detail, "limits.user_incoming_bytes")
	_ = writing.CloseWithError(io.ErrUnexpectedEOF)
	<-first
	require.Eventually(t, func() bool { return n.Broker.Stats().Memory["incoming"] == 0 }, test.Patience, time.Millisecond)
	require.Equal(t, 200, p.send(`{"destination":"/topic/a","body":"`+strings.Repeat("z", 256<<10)+`"}`).Status)
	require.Zero(t, n.Broker.Stats().Memory["incoming"])
}

// endlessBody repeats a text after another one until it is closed, and counts what was taken.
type endlessBody struct {
	text, more string
	read       atomic.Int64
	closed     atomic.Bool
}

func (b *endlessBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	if b.text == "" {
		b.text = b.more
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	b.read.Add(int64(n))
	return n, nil
}

func (b *endlessBody) Close() error {
	b.closed.Store(true)
	return nil
}

// TestNoMoreOfABodyIsReadThanUpToWhatIsWrong, and its connection is closed.
func TestNoMoreOfABodyIsReadThanUpToWhatIsWrong(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := httptest.NewServer(httpapi.New(n.Broker, httpapi.Options{})) // the one of apiServer reads bodies first
	t.Cleanup(server.Close)
	token := test.Token(t, "mallory", time.Hour, auth.AllGrants())
	for _, c := range []struct {
		text, more, kind string
		status           int
		says             string
		index            bool
	}{
		{"[", "{},", "application/json", 400, "one JSON object", false},
		{`{"messages":[`, "{},", "application/json", 400, "destination header is missing", true},
		{`{"messages":[`, `{"destination":"/topic/a"},`, "application/json", 413, "too many messages", false},
		{`{`, `"destination":"/topic/a",`, "application/json", 400, "there twice", false},
		{`{}`, `{}`, "application/json", 400, "something follows", false},
		{`{}`, `{}`, "text/plain", 415, "Content-Type", false},
	} {
		body := &endlessBody{text: c.text, more: c.more}
		r, err := http.NewRequest(http.MethodPost, server.URL+"/api/send", body)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", c.kind)
		got, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		var said answer
		require.NoError(t, json.NewDecoder(got.Body).Decode(&said))
		require.NoError(t, got.Body.Close())
		require.Equal(t, c.status, got.StatusCode, c.more)
		require.Contains(t, said.Detail, c.says)
		require.Equal(t, c.index, said.Index != nil, c.more)
		require.True(t, got.Close, "%s: the connection is closed", c.more)
	}
	require.Zero(t, n.Broker.Stats().Memory["incoming"])

	// Directly, so that no buffer of a connection is between.
	body := &endlessBody{text: `{"messages":[`, more: "{},"}
	r := httptest.NewRequest(http.MethodPost, "/api/send", body)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	httpapi.New(n.Broker, httpapi.Options{}).ServeHTTP(httptest.NewRecorder(), r)
	require.Less(t, body.read.Load(), int64(4<<10))
}

// TestSendsThatAreRefusedHaveTheRateOfRequests: as many as there are, or as they are large. What is
// sent well has none, until then.
func TestSendsThatAreRefusedHaveTheRateOfRequests(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]string{
		"many":  `{"destination":"/topic/a","boddy":"x"}`,
		"large": `{"destination":"/topic/a","body":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{UserRequestRate: 3}}})
		p := newPoster(t, n, "mallory", auth.AllGrants())
		const well = `{"destination":"/topic/a","body":"x"}`
		for range 10 {
			require.Equal(t, 200, p.send(well).Status, name)
		}
		var got answer
		if name == "large" {
			require.Equal(t, 413, p.send(refused).Status, name)
			got = p.send(well) // 81 requests at 3 a second are owed
		} else {
			require.Eventually(t, func() bool {
				got = p.send(refused)
				return got.Status == 429
			}, test.Patience, time.Millisecond)
		}
		require.Equal(t, 429, got.Status, name)
		require.Equal(t, "message-rate", got.Code, name)
		require.Contains(t, got.Detail, "limits.user_request_rate", name)
		require.NotZero(t, n.Broker.Stats().Limited["user_request_rate"], name)
		p.token = test.Token(t, "alice", time.Hour, auth.AllGrants())
		require.Equal(t, 200, p.send(well).Status, "%s: others have their own", name)
	}
}
