package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/metrics"
	"github.com/stompbox/stompbox/webhook"
)

const hookSecret = "a secret of webhooks, long enough"

// posted is what a webhook's server gets.
type posted struct {
	ID, Destination, User, Session string
	Headers                        map[string]string
	WantsReply                     bool `json:"wants_reply"`
	Body                           string
	Base64                         []byte `json:"body_base64"`
}

// hookServer is an app server that checks signatures as the specification says.
func hookServer(t *testing.T, answer func(w http.ResponseWriter, p posted)) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		id := r.Header.Get("webhook-id")
		mac := hmac.New(sha256.New, []byte(hookSecret))
		fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("webhook-timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("the signature is %q in place of %q", r.Header.Get("webhook-signature"), want)
		}
		var p posted
		if err := json.Unmarshal(body, &p); err != nil || p.ID != id {
			t.Errorf("%s: %v", body, err)
		}
		answer(w, p)
	}))
	t.Cleanup(server.Close)
	return server
}

// withHook has a webhook serve a pattern of a node.
func withHook(t *testing.T, n *test.Node, pattern string, o webhook.Options) *webhook.Webhook {
	o.Name, o.Secret = "shop", []byte(hookSecret)
	o.Logger = slog.New(slog.NewTextHandler(n.Log, nil))
	hook, err := webhook.New(n.Broker, o)
	require.NoError(t, err)
	t.Cleanup(hook.Close)
	require.NoError(t, n.Broker.Handle(pattern, hook.Handle))
	return hook
}

func TestAWebhookAnswersRequests(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			server := hookServer(t, func(w http.ResponseWriter, p posted) {
				switch {
				case p.Body == "quiet":
					w.WriteHeader(http.StatusNoContent)
				case p.Body == "refuse":
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusConflict)
					_, _ = io.WriteString(w, `{"detail":"sold out"}`)
				case p.Body == "nonsense":
					_, _ = io.WriteString(w, `<html>`)
				case p.Body == "too much":
					_, _ = io.WriteString(w, `{"messages":[{"destination":"/topic/secret","body":"x"}],"reply":{"body":"done"}}`)
				case p.Base64 != nil:
					_, _ = fmt.Fprintf(w, `{"reply":{"body":"%v"}}`, p.Base64)
				default:
					_, _ = fmt.Fprintf(w, `{"reply":{"headers":{"price":"3"},"body":{"for":%q,"wanted":%v,"note":%q}},
						"messages":[{"destination":"/topic/orders","body":"one more"},{"destination":"/user/%s/queue/notes","body":"thanks"}]}`, p.User, p.WantsReply, p.Headers["note"], p.User)
				}
			})
			hook := withHook(t, nodes[0], "/app/orders.*", webhook.Options{URL: server.URL, Grants: auth.Grants{Send: []string{"/topic/orders", "/user/**"}}})
			client := test.Caller(t, nodes[1], "alice")
			client.Subscribe("u", "/user/queue/notes")
			watcher := test.Dial(t, nodes[1]).Connect()
			watcher.Subscribe("o", "/topic/orders")
			ask := func(body string) {
				client.Send(frames.SEND, "destination", "/app/orders.new", "reply-to", "/temp-queue/a", "correlation-id", "1", "note", "gift", body)
			}
			ask("a book")
			require.Equal(t, "shop", watcher.Message("one more").Get("user"))
			got := map[string]*frames.Frame{}
			for range 2 {
				f := client.Expect(frames.MESSAGE)
				got[f.Get("subscription")] = f
			}
			require.Equal(t, "thanks", string(got["u"].Body))
			reply := got["/temp-queue/a"]
			require.JSONEq(t, `{"for":"alice","wanted":true,"note":"gift"}`, string(reply.Body))
			require.Equal(t, "3", reply.Get("price"))
			require.Equal(t, "1", reply.Get("correlation-id"))
			require.Equal(t, "application/json", reply.Get("content-type"))
			ask("\xff\x00")
			client.Message("[255 0]")
			for body, says := range map[string]string{"refuse": "sold out", "nonsense": "could not be read", "too much": "could not be carried out"} {
				ask(body)
				f := client.Expect(frames.MESSAGE)
				require.Equal(t, "app-failed", f.Get("error"), body)
				require.Contains(t, string(f.Body), says)
			}
			require.Contains(t, nodes[0].Log.String(), "/topic/secret")
			client.Send(frames.SEND, "destination", "/app/orders.new", "receipt", "r", "quiet")
			client.Receipt("r")
			client.Quiet()
			require.NoError(t, testutil.CollectAndCompare(metrics.Webhooks(hook), strings.NewReader(`
				# HELP stompbox_webhook_open 1 while a webhook does not answer and requests to it fail at once.
				# TYPE stompbox_webhook_open gauge
				stompbox_webhook_open{webhook="shop"} 0
			`), "stompbox_webhook_open"))
		})
	}
}

func TestAWebhookIsTriedAgain(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	var tries atomic.Int32
	var ids = make(chan string, 10)
	server := hookServer(t, func(w http.ResponseWriter, p posted) {
		ids <- p.ID
		switch tries.Add(1) {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case 3:
			panic(http.ErrAbortHandler) // the connection breaks
		default:
			_, _ = io.WriteString(w, `{"reply":{"body":"at last"}}`)
		}
	})
	withHook(t, n, "/app/shaky", webhook.Options{URL: server.URL})
	client := test.Caller(t, n, "alice")
	client.Send(frames.SEND, "destination", "/app/shaky", "reply-to", "/temp-queue/a", "x")
	client.Message("at last")
	require.EqualValues(t, 4, tries.Load())
	first := <-ids
	for range 3 {
		require.Equal(t, first, <-ids, "a request that is repeated has the same id")
	}
}

func TestAWebhookThatDoesNotAnswerIsLeftAlone(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	var healthy atomic.Bool
	server := hookServer(t, func(w http.ResponseWriter, _ posted) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"reply":{"body":"back"}}`)
	})
	hook := withHook(t, n, "/app/down", webhook.Options{URL: server.URL, Deadline: 60 * time.Millisecond}) // shorter than any pause
	client := test.Caller(t, n, "alice")
	ask := func() *frames.Frame {
		client.Send(frames.SEND, "destination", "/app/down", "reply-to", "/temp-queue/a", "x")
		return client.Expect(frames.MESSAGE)
	}
	for range 10 {
		require.Equal(t, "app-failed", ask().Get("error"))
	}
	require.Equal(t, "unavailable", ask().Get("error"), "it is not even asked")
	require.Contains(t, n.Log.String(), "a webhook does not answer")
	require.NoError(t, testutil.CollectAndCompare(metrics.Webhooks(hook), strings.NewReader(`
		# HELP stompbox_webhook_open 1 while a webhook does not answer and requests to it fail at once.
		# TYPE stompbox_webhook_open gauge
		stompbox_webhook_open{webhook="shop"} 1
		# HELP stompbox_webhook_requests_total Requests to webhooks, by what became of them: answered, failed, or refused at once.
		# TYPE stompbox_webhook_requests_total counter
		stompbox_webhook_requests_total{outcome="answered",webhook="shop"} 0
		stompbox_webhook_requests_total{outcome="failed",webhook="shop"} 10
		stompbox_webhook_requests_total{outcome="refused",webhook="shop"} 1
	`), "stompbox_webhook_open", "stompbox_webhook_requests_total"))
	healthy.Store(true)
	require.Eventually(t, func() bool { return ask().Get("error") == "" }, test.Patience, 100*time.Millisecond)
	require.Contains(t, n.Log.String(), "a webhook answers again")
}

func TestAWebhookTakesNoMoreThanItShould(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	hold := make(chan struct{})
	server := hookServer(t, func(w http.ResponseWriter, _ posted) {
		<-hold
		_, _ = io.WriteString(w, `{"reply":{"body":"done"}}`)
	})
	withHook(t, n, "/app/slow", webhook.Options{URL: server.URL, MaxInFlight: 2})
	client := test.Caller(t, n, "alice")
	for range 3 {
		client.Send(frames.SEND, "destination", "/app/slow", "reply-to", "/temp-queue/a", "x")
	}
	require.Equal(t, "app-busy", client.Expect(frames.MESSAGE).Get("error"))
	close(hold)
	client.Message("done")
	client.Message("done")
}

// TestAWebhookChangesItsSecret has a request signed with both secrets, so that who
// knows the old one still takes it.
func TestAWebhookChangesItsSecret(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	headers := make(chan http.Header, 1)
	bodies := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		headers <- r.Header
		bodies <- body
	}))
	defer server.Close()
	old := "the secret before, long enough too"
	withHook(t, n, "/app/orders", webhook.Options{URL: server.URL, PreviousSecret: []byte(old)})
	test.Dial(t, n).Connect().Send(frames.SEND, "destination", "/app/orders", "x")
	h, body := <-headers, <-bodies
	var want []string
	for _, secret := range []string{hookSecret, old} {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s.%s", h.Get("webhook-id"), h.Get("webhook-timestamp"), body)
		want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	require.Equal(t, want, strings.Split(h.Get("webhook-signature"), " "))
}

func TestAWebhookThatCannotWorkIsNotMade(t *testing.T) {
	t.Parallel()
	for says, o := range map[string]webhook.Options{
		"not an http or https URL": {URL: "ftp://x", Secret: []byte(hookSecret)},
		"needs at least 24":        {URL: "http://127.0.0.1/", Secret: []byte("short")},
		"secret has 3 bytes":       {URL: "http://127.0.0.1/", Secret: []byte(hookSecret), PreviousSecret: []byte("old")},
		"send pattern":             {URL: "http://127.0.0.1/", Secret: []byte(hookSecret), Grants: auth.Grants{Send: []string{"topic"}}},
	} {
		_, err := webhook.New(nil, o)
		require.ErrorContains(t, err, says)
	}
	secret, err := webhook.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString([]byte("bytes")))
	require.NoError(t, err)
	require.Equal(t, "bytes", string(secret))
	_, err = webhook.ParseSecret("whsec_-")
	require.ErrorContains(t, err, "not base64")
}

// TestLongListsInAnswersAreRefusedWhileTheyAreRead has a webhook answer millions of messages
// in a few megabytes.
func TestLongListsInAnswersAreRefusedWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{Incoming: broker.ByteLimits{User: 8 << 20}}}})
	server := hookServer(t, func(w http.ResponseWriter, p posted) {
		switch p.Body {
		case "list":
			_, _ = io.WriteString(w, `{"messages":[`+strings.Repeat(`{"destination":"/topic/a"},`, 1<<20)+`{}]}`)
		case "nowhere":
			_, _ = io.WriteString(w, `{"messages":[`+strings.Repeat(`{},`, 4<<20)+`{}]}`)
		case "long":
			_, _ = io.WriteString(w, `{"reply":{"body":"`+strings.Repeat("x", 9<<20)+`"}}`)
		default:
			_, _ = io.WriteString(w, `{"messages":[{"destination":"/topic/a","body":"one"}],"reply":{"body":"done"}}`)
		}
	})
	withHook(t, n, "/app/list", webhook.Options{URL: server.URL, Timeout: test.Patience, Deadline: test.Patience, Grants: auth.AllGrants()})
	client := test.Caller(t, n, "alice")
	ask := func(body string) *frames.Frame {
		client.Send(frames.SEND, "destination", "/app/list", "reply-to", "/temp-queue/a", body)
		return client.Expect(frames.MESSAGE)
	}
	require.Equal(t, "app-failed", ask("list").Get("error"))
	require.Contains(t, n.Log.String(), "too many messages")
	require.Equal(t, "app-failed", ask("nowhere").Get("error"))
	require.Contains(t, n.Log.String(), "message 0: the destination header is missing")
	require.Equal(t, "app-failed", ask("long").Get("error"))
	require.Equal(t, "done", string(ask("well").Body))
	require.Zero(t, n.Broker.Stats().Memory["incoming"])
	require.EqualValues(t, 1, n.Broker.Stats().Limited["user_incoming_bytes"])
}

// TestOneUserDoesNotTakeAllOfAWebhook has a user's requests hang, and another one's answered.
func TestOneUserDoesNotTakeAllOfAWebhook(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	server := hookServer(t, func(w http.ResponseWriter, p posted) {
		if p.User == "eve" {
			<-hold
		}
		_, _ = io.WriteString(w, `{"reply":{"body":"done"}}`)
	})
	withHook(t, n, "/app/slow", webhook.Options{URL: server.URL, MaxInFlight: 8, Timeout: test.Patience, Deadline: test.Patience})
	ask := func(c *test.Client) {
		c.Send(frames.SEND, "destination", "/app/slow", "reply-to", "/temp-queue/a", "x")
	}
	eve, bob := test.Caller(t, n, "eve"), test.Caller(t, n, "bob")
	for range 8 {
		ask(eve)
	}
	for range 3 { // of 8 she gets 5
		f := eve.Expect(frames.MESSAGE)
		require.Equal(t, "app-busy", f.Get("error"))
		require.Contains(t, string(f.Body), "of one user")
	}
	ask(bob)
	bob.Message("done")
	require.EqualValues(t, 3, n.Broker.Stats().Limited["user_requests"])
	release()
	for range 5 {
		eve.Message("done")
	}
}
