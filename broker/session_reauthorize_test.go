package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestACommitIsOfTheFreshToken: what a SEND in a transaction was allowed counts no more
// once a fresh token does not allow it, and none of the transaction takes effect.
func TestACommitIsOfTheFreshToken(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	reader := test.Dial(t, n).Connect()
	for i, dest := range []string{"/topic/**", "/user/queue/notes", "/app/**", "/queue/held", "/queue/free"} {
		reader.Subscribe(string(rune('a'+i)), dest)
	}
	token := func(send ...string) string {
		return test.Token(t, "alice", time.Hour, auth.Grants{Send: append(send, "/queue/free", "/topic/free"), Subscribe: []string{"/user/**"}})
	}
	begin := func(dest string) *test.Client {
		c := test.Dial(t, n).Connect("Authorization", "Bearer "+token(dest))
		c.Send(frames.BEGIN, "transaction", "t")
		for _, to := range []string{"/queue/free", dest, "/topic/free"} {
			c.Send(frames.SEND, "destination", to, "transaction", "t", "receipt", to, to)
			c.Receipt(to)
		}
		return c
	}
	for _, dest := range []string{"/topic/a", "/topic/chat.kept", "/user/guest/queue/notes", "/app/a", "/queue/held"} {
		c := begin(dest)
		c.Send(frames.SEND, "destination", "/session/token", "receipt", "fresh", token())
		c.Receipt("fresh")
		c.Send(frames.COMMIT, "transaction", "t", "receipt", "x")
		require.Equal(t, "x", c.Error("no send permission").Get("receipt-id"), dest)

		c = begin(dest) // and the same with the token in the transaction, as its last frame
		c.Send(frames.SEND, "destination", "/session/token", "transaction", "t", "receipt", "fresh", token())
		c.Receipt("fresh")
		c.Send(frames.COMMIT, "transaction", "t")
		c.Error("no send permission")
		reader.Quiet()

		c = begin(dest)
		c.Send(frames.SEND, "destination", "/session/token", token())
		c.Send(frames.ABORT, "transaction", "t", "receipt", "aborted")
		c.Receipt("aborted")
		c.Quiet()

		c = begin(dest) // a token of an aborted transaction does not count
		c.Send(frames.SEND, "destination", "/session/token", "transaction", "t", token())
		c.Send(frames.ABORT, "transaction", "t")
		c.Send(frames.SEND, "destination", dest, "receipt", "sent", "plain")
		c.Receipt("sent")
		reader.Message("plain")

		c = begin(dest) // one that still allows it does
		c.Send(frames.SEND, "destination", "/session/token", token(dest, "/topic/more"))
		c.Send(frames.COMMIT, "transaction", "t", "receipt", "done")
		c.Receipt("done")
		got := make(map[string]int)
		for range 3 {
			got[string(reader.Expect(frames.MESSAGE).Body)]++
		}
		require.Equal(t, map[string]int{dest: 1, "/queue/free": 1, "/topic/free": 1}, got)
	}
}

// TestInterceptorsAreAskedAgainAtACommit: they may have let it through for the permissions
// of the token before.
func TestInterceptorsAreAskedAgainAtACommit(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	allow := broker.Interceptor{Send: func(next broker.ActionFunc) broker.ActionFunc {
		return func(ctx context.Context, a *broker.Action) error {
			if a.Principal.Name != "alice" {
				return next(ctx, a)
			}
			if a.Renewed {
				seen <- a.Destination + " " + a.Headers.Get("colour") + " " + string(a.Body)
			}
			switch fresh := a.Principal.Permissions.MaySend("/topic/fresh"); {
			case a.Destination == "/topic/gone" && fresh:
				return errors.New("it is gone")
			case a.Destination == "/topic/rejected" && fresh:
				return broker.Reject("it is rejected")
			case a.Destination == "/topic/dropped" && fresh:
				return nil
			case a.Destination == "/topic/moved" && fresh:
				a.Destination = "/topic/elsewhere"
			case a.Destination == "/topic/short":
				a.Destination, a.Body = "/topic/long", append([]byte("the "), a.Body...)
			}
			a.Permitted = true
			return next(ctx, a)
		}
	}}
	n := test.Start(t, test.Options{Broker: broker.Options{Interceptors: []broker.Interceptor{allow}}})
	reader := test.Dial(t, n).Connect()
	reader.Subscribe("a", "/topic/**")
	fresh := test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/topic/fresh"}})
	for name, says := range map[string]string{"gone": "it is gone", "rejected": "it is rejected", "dropped": "no send permission", "moved": "no send permission", "short": ""} {
		c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/topic/old"}}))
		c.Send(frames.BEGIN, "transaction", "t")
		c.Send(frames.SEND, "destination", "/topic/"+name, "colour", "red", "transaction", "t", "receipt", "r", "body")
		c.Receipt("r")
		c.Send(frames.SEND, "destination", "/session/token", "receipt", "f", fresh)
		c.Receipt("f")
		c.Send(frames.COMMIT, "transaction", "t", "receipt", "done")
		if says != "" {
			c.Error(says)
			reader.Quiet()
		} else {
			c.Receipt("done")
			require.Equal(t, "/topic/long", reader.Message("the body").Get("destination"))
		}
		require.Equal(t, "/topic/"+name+" red body", <-seen)
		require.Empty(t, seen)
	}
}

// TestHeadersInTransactionsAreCounted: they are kept until the COMMIT too.
func TestHeadersInTransactionsAreCounted(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxTransactionBytes: 20_000}}})
	c := test.Dial(t, n).Connect()
	c.Send(frames.BEGIN, "transaction", "t")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t", "receipt", "r", "x", strings.Repeat("x", 9000), "")
	c.Receipt("r")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t", "x", strings.Repeat("x", 11000), "")
	c.Error("is too large")
}
