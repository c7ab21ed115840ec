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

// moderation is what an embedding program may have.
func moderation() broker.Interceptor {
	return broker.Interceptor{
		Send: func(next broker.ActionFunc) broker.ActionFunc {
			return func(ctx context.Context, a *broker.Action) error {
				switch text := string(a.Body); {
				case strings.Contains(text, "shout"):
					a.Body = []byte(strings.ToUpper(text))
					a.Headers = a.Headers.With("changed", "yes")
				case strings.Contains(text, "move"):
					a.Destination = "/topic/other"
				case strings.Contains(text, "spam"):
					return nil
				case strings.Contains(text, "swear"):
					return broker.Reject("mind your language")
				case strings.Contains(text, "attack"):
					return errors.New("you are not welcome")
				case strings.Contains(text, "crash"):
					panic("a bug")
				case a.Destination == "/topic/admin" && a.Principal.Name == "alice":
					a.Permitted = true
				}
				return next(ctx, a)
			}
		},
		Subscribe: func(next broker.ActionFunc) broker.ActionFunc {
			return func(ctx context.Context, a *broker.Action) error {
				if rest, ok := strings.CutPrefix(a.Destination, "/topic/tenant/"); ok {
					a.Destination = "/topic/" + a.Principal.Name + "/" + rest
					a.Permitted = true
				}
				if a.Destination == "/topic/nothing" {
					return nil
				}
				return next(ctx, a)
			}
		},
	}
}

func TestAnInterceptorChangesAndRefuses(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Interceptors: []broker.Interceptor{moderation()}}})
	reader := test.Dial(t, n).Connect()
	for i, topic := range []string{"chat", "other", "admin"} {
		reader.Subscribe(string(rune('a'+i)), "/topic/"+topic)
	}
	dial := func() *test.Client {
		grants := auth.Grants{Send: []string{"/topic/chat", "/topic/other"}, Subscribe: []string{"/topic/chat", "/user/**"}}
		c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, grants))
		c.Subscribe("e", "/user/queue/errors")
		return c
	}
	alice, bystander := dial(), dial()
	say := func(c *test.Client, destination, text string) {
		c.Send(frames.SEND, "destination", destination, "correlation-id", "7", "receipt", "r", text)
	}
	say(alice, "/topic/chat", "shout it")
	alice.Receipt("r")
	require.Equal(t, "yes", reader.Message("SHOUT IT").Get("changed"))
	say(alice, "/topic/chat", "move it")
	alice.Receipt("r")
	require.Equal(t, "/topic/other", reader.Message("move it").Get("destination"))
	say(alice, "/topic/admin", "permitted by the interceptor")
	alice.Receipt("r")
	reader.Message("permitted by the interceptor")
	say(alice, "/topic/chat", "spam")
	alice.Receipt("r")
	say(alice, "/topic/chat", "swear")
	rejection := alice.Message("mind your language")
	require.Equal(t, "rejected", rejection.Get("error"))
	require.Equal(t, "/topic/chat", rejection.Get("failed-destination"))
	require.Equal(t, "7", rejection.Get("correlation-id"))
	alice.Receipt("r")
	reader.Quiet()
	require.EqualValues(t, 2, n.Broker.Stats().Rejected)

	say(alice, "/topic/chat", "attack")
	alice.Error("you are not welcome")
	careless := dial()
	say(careless, "/topic/chat", "crash")
	message := careless.Error("its log says why").Get("message")
	require.NotContains(t, message, "a bug")
	require.Contains(t, message, "under session "+careless.Connected.Get("session"))
	require.Contains(t, n.Log.String(), "a bug")
	// What it let through, or changed, is still a matter of permissions.
	greedy := dial()
	say(greedy, "/topic/secret", "x")
	greedy.Error("no send permission")
	bystander.Quiet()
}

func TestAnInterceptorDecidesOnSubscriptions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Interceptors: []broker.Interceptor{moderation(), {}}}})
	grants := auth.Grants{Subscribe: []string{"/topic/chat"}}
	token := func(grants auth.Grants) string { return test.Token(t, "alice", time.Hour, grants) }
	alice := test.Dial(t, n).Connect("Authorization", "Bearer "+token(grants))
	alice.Subscribe("t", "/topic/tenant/news")
	sender := test.Dial(t, n).Connect()
	sender.Send(frames.SEND, "destination", "/topic/alice/news", "for alice")
	alice.Message("for alice")
	// A fresh token is shown to it, too, and what it lets through goes on.
	alice.Send(frames.SEND, "destination", "/session/token", "receipt", "r", token(grants))
	alice.Receipt("r")
	sender.Send(frames.SEND, "destination", "/topic/alice/news", "still")
	alice.Message("still")
	alice.Send(frames.SUBSCRIBE, "id", "n", "destination", "/topic/nothing")
	alice.Error("no subscribe permission")
}

func TestAnAppServerGoesOnWithAFreshToken(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	grants := auth.Grants{Serve: []string{"/app/**"}, Send: []string{"/topic/**"}}
	token := func(grants auth.Grants) string { return test.Token(t, "server", time.Hour, grants) }
	server := test.Dial(t, n).Connect("Authorization", "Bearer "+token(grants))
	server.Subscribe("app", "/app/work")
	server.Send(frames.SEND, "destination", "/session/token", "receipt", "r", token(grants))
	server.Receipt("r")
	client := test.Caller(t, n, "alice")
	client.Send(frames.SEND, "destination", "/app/work", "served")
	server.Message("served")
	// One that could now only ask does not serve any more.
	server.Send(frames.SEND, "destination", "/session/token", token(auth.Grants{Send: []string{"/app/**"}}))
	server.Error("no serve permission")
}
