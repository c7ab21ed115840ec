package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestAppServersAnswerRequests(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			server, client := test.Dial(t, nodes[0]).Connect(), test.Caller(t, nodes[1], "alice")
			server.Subscribe("app", "/app/chat.*", "ack", "client-individual")
			client.Send(frames.SEND, "destination", "/app/chat.join", "reply-to", "/temp-queue/answers", "correlation-id", "17",
				"user", "forged", "session", "forged", "receipt", "r", "hello")
			client.Receipt("r")
			request := server.Message("hello")
			require.Equal(t, "/app/chat.join", request.Get("destination"))
			require.Equal(t, "alice", request.Get("user"))
			require.Equal(t, client.Connected.Get("session"), request.Get("session"))
			require.True(t, strings.HasPrefix(request.Get("reply-to"), "/reply/"))
			require.Greater(t, len(request.Get("reply-to")), len("/reply/")+20)
			server.Send(frames.SEND, "destination", request.Get("reply-to"), "correlation-id", request.Get("correlation-id"), "welcome")
			server.Send(frames.ACK, "id", request.Get("ack"))
			answer := client.Message("welcome")
			require.Equal(t, "/temp-queue/answers", answer.Get("subscription"))
			require.Equal(t, "17", answer.Get("correlation-id"))
			server.Send(frames.SEND, "destination", "/user/alice/queue/x", "session", request.Get("session"), "to the session")
			client.Quiet()

			// A SUBSCRIBE of a user that serves nothing is one request.
			client.Send(frames.SUBSCRIBE, "id", "ask", "destination", "/app/chat.members", "room", "1", "receipt", "r")
			client.Receipt("r")
			request = server.Message("")
			require.Equal(t, "1", request.Get("room"))
			server.Send(frames.SEND, "destination", request.Get("reply-to"), "alice, bob")
			require.Equal(t, "ask", client.Message("alice, bob").Get("subscription"))
		})
	}
}

func TestRequestsThatFailAreTold(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{AppTimeout: time.Second}) {
		t.Run(name, func(t *testing.T) {
			client, other := test.Caller(t, nodes[1], "alice"), test.Caller(t, nodes[1], "alice")
			for _, c := range []*test.Client{client, other} {
				c.Subscribe("e", "/user/queue/errors")
			}
			client.Send(frames.SEND, "destination", "/app/nobody", "correlation-id", "1", "receipt", "r", "x")
			f := client.Message("no app server serves /app/nobody")
			require.Equal(t, "no-app-server", f.Get("error"))
			require.Equal(t, "no-app-server", f.Get("code"))
			require.Equal(t, "/app/nobody", f.Get("failed-destination"))
			require.Equal(t, "1", f.Get("correlation-id"))
			require.Equal(t, "e", f.Get("subscription"))
			client.Receipt("r")
			client.Send(frames.SEND, "destination", "/app/nobody", "correlation-id", "2", "reply-to", "/temp-queue/a", "x")
			f = client.Expect(frames.MESSAGE)
			require.Equal(t, "no-app-server", f.Get("error"))
			require.Equal(t, "/temp-queue/a", f.Get("subscription"))
			require.Equal(t, "2", f.Get("correlation-id"))

			silent := test.Dial(t, nodes[0]).Connect()
			silent.Subscribe("app", "/app/silent")
			client.Send(frames.SEND, "destination", "/app/silent", "correlation-id", "3", "reply-to", "/temp-queue/a", "x")
			silent.Message("x")
			f = client.Expect(frames.MESSAGE)
			require.Equal(t, "app-timeout", f.Get("error"))
			require.Equal(t, "3", f.Get("correlation-id"))
			other.Quiet()

			for says, headers := range map[string][]string{
				"a request is answered to /temp-queue/": {"destination", "/app/silent", "reply-to", "/topic/admin"},
				"needs a name without wildcards":        {"destination", "/app/*"},
			} {
				c := test.Caller(t, nodes[1], "alice")
				c.Send(frames.SEND, headers...)
				c.Error(says)
			}
			for says, destination := range map[string]string{"no serve permission": "/app/*", "clients cannot subscribe": "/reply/abc"} {
				c := test.Caller(t, nodes[1], "alice")
				c.Send(frames.SUBSCRIBE, "id", "s", "destination", destination)
				c.Error(says)
			}
			forger := test.Caller(t, nodes[1], "eve")
			forger.Send(frames.SEND, "destination", "/app/silent", "reply-to", "/reply/guessed", "x")
			forger.Error("a request is answered to /temp-queue/")
		})
	}
}

func TestAKilledAppServerLosesNoRequest(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			const count = 50
			doomed := test.Dial(t, nodes[0]).Connect()
			doomed.Subscribe("app", "/app/work", "ack", "client-individual")
			client := test.Caller(t, nodes[0], "alice")
			for i := range count {
				client.Send(frames.SEND, "destination", "/app/work", strconv.Itoa(i))
			}
			for i := range count {
				doomed.Message(strconv.Itoa(i))
			}
			other := test.Dial(t, nodes[1]).Connect()
			other.Subscribe("app", "/app/**", "ack", "client-individual")
			doomed.Close()
			seen := make(map[string]bool)
			for len(seen) < count {
				f := other.Expect(frames.MESSAGE)
				seen[string(f.Body)] = true
				other.Send(frames.ACK, "id", f.Get("ack"))
			}
			other.Quiet()
		})
	}
}

// TestAnAnswerInATransactionComesOnce: a server that dies between its answer and its ACK has
// another one answer again, but where the two are in one transaction.
func TestAnAnswerInATransactionComesOnce(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			client := test.Caller(t, nodes[0], "alice")
			for _, headers := range [][]string{nil, {"transaction", "t"}} {
				doomed := test.Dial(t, nodes[1]).Connect()
				doomed.Subscribe("app", "/app/work", "ack", "client-individual")
				client.Send(frames.SEND, "destination", "/app/work", "reply-to", "/temp-queue/a", "correlation-id", "7", "do it")
				answer := func(c *test.Client, body string, more ...string) {
					request := c.Message("do it")
					if more != nil {
						c.Send(frames.BEGIN, "transaction", "t")
					}
					c.Send(frames.SEND, append(append([]string{"destination", request.Get("reply-to"), "correlation-id", "7", "receipt", "sent"}, more...), body)...)
					c.Receipt("sent")
					if more != nil {
						c.Send(frames.ACK, append([]string{"id", request.Get("ack"), "receipt", "acked"}, more...)...)
						c.Receipt("acked")
					}
				}
				answer(doomed, "first", headers...)
				if headers == nil {
					client.Message("first")
				}
				other := test.Dial(t, nodes[1]).Connect()
				other.Subscribe("app", "/app/work", "ack", "client-individual")
				doomed.Close()
				answer(other, "second", headers...)
				if headers == nil {
					require.Equal(t, "7", client.Message("second").Get("correlation-id"))
				} else {
					other.Send(frames.COMMIT, "transaction", "t", "receipt", "done")
					other.Receipt("done")
					client.Message("second")
				}
				other.Send(frames.UNSUBSCRIBE, "id", "app", "receipt", "gone")
				other.Receipt("gone")
				client.Quiet()
			}
		})
	}
}

func TestAppServersTakeTurns(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	var servers []*test.Client
	for range 3 {
		s := test.Dial(t, n).Connect()
		s.Subscribe("app", "/app/work", "prefetch-count", "1000")
		servers = append(servers, s)
	}
	client := test.Caller(t, n, "alice")
	for i := range 300 {
		client.Send(frames.SEND, "destination", "/app/work", strconv.Itoa(i))
	}
	for _, s := range servers {
		for range 100 {
			s.Expect(frames.MESSAGE)
		}
		s.Quiet()
	}
}

func TestGoHandlersAnswerAndPanicsAreContained(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, nodes[0].Broker.Handle("/app/go.*", func(ctx context.Context, r broker.Request) (*broker.Reply, error) {
				_, hasDeadline := ctx.Deadline()
				switch r.Destination {
				case "/app/go.panic":
					panic("a bug")
				case "/app/go.error":
					return nil, errors.New("you cannot do that")
				}
				return &broker.Reply{Body: fmt.Appendf(nil, "%s %s %v", r.User, r.Body, hasDeadline)}, nil
			}))
			client := test.Caller(t, nodes[1], "alice")
			client.Send(frames.SEND, "destination", "/app/go.echo", "reply-to", "/temp-queue/a", "correlation-id", "1", "hello")
			require.Equal(t, "1", client.Message("alice hello true").Get("correlation-id"))
			client.Send(frames.SEND, "destination", "/app/go.error", "reply-to", "/temp-queue/a", "x")
			require.Equal(t, "app-failed", client.Message("you cannot do that").Get("error"))
			client.Send(frames.SEND, "destination", "/app/go.panic", "reply-to", "/temp-queue/a", "x")
			require.NotContains(t, string(client.Expect(frames.MESSAGE).Body), "a bug")
			require.Contains(t, nodes[0].Log.String(), "a bug")
			client.Send(frames.SEND, "destination", "/app/go.echo", "reply-to", "/temp-queue/a", "again")
			client.Message("alice again true")
			require.ErrorContains(t, nodes[0].Broker.Handle("/topic/a", nil), "handlers are for /app/")
		})
	}
}

func TestNativeServicesAnswerRequests(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	nc, err := nats.Connect(n.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	_, err = nc.QueueSubscribe("stompbox.app.sum.>", "stompbox", func(msg *nats.Msg) {
		_ = msg.RespondMsg(&nats.Msg{Header: nats.Header{"content-type": []string{"text/plain"}}, Data: []byte(msg.Header.Get("user") + " gets " + string(msg.Data))})
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	client := test.Caller(t, n, "alice")
	client.Send(frames.SEND, "destination", "/app/sum.two", "reply-to", "/temp-queue/a", "correlation-id", "1", "4")
	f := client.Message("alice gets 4")
	require.Equal(t, "1", f.Get("correlation-id"))
	require.Equal(t, "text/plain", f.Get("content-type"))
	client.Send(frames.SUBSCRIBE, "id", "once", "destination", "/app/sum.three")
	require.Equal(t, "once", client.Message("alice gets ").Get("subscription"))

	// And a native program asks an app server.
	server := test.Dial(t, n).Connect()
	server.Subscribe("app", "/app/ask")
	require.NoError(t, nc.Publish("stompbox.app.ask", []byte("bare")))
	server.Message("bare")
}

func TestShutdownWaitsForHandlers(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	begun, ended := make(chan struct{}), make(chan error, 1)
	require.NoError(t, n.Broker.Handle("/app/slow", func(ctx context.Context, _ broker.Request) (*broker.Reply, error) {
		close(begun)
		for !n.Broker.Draining() || n.Broker.Stats().Sessions > 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // so that a shutdown that did not wait would be over
		ended <- ctx.Err()
		return nil, nil
	}))
	test.Caller(t, n, "alice").Send(frames.SEND, "destination", "/app/slow", "x")
	<-begun
	require.NoError(t, n.Broker.Shutdown(t.Context()))
	select {
	case err := <-ended:
		require.NoError(t, err, "its context goes on")
	default:
		t.Fatal("the broker is shut down, and the handler is not done")
	}
}

func TestNativeProgramsAskAppServers(t *testing.T) {
	t.Parallel()
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL()})
	nc, err := nats.Connect(a.Relay.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	ask := func(subject, body string) chan *nats.Msg {
		answer := make(chan *nats.Msg, 1)
		go func() {
			m := nats.NewMsg(subject)
			m.Header.Set("note", "native")
			m.Data = []byte(body)
			got, err := nc.RequestMsg(m, test.Patience)
			if err != nil {
				got = &nats.Msg{Data: []byte(err.Error())}
			}
			answer <- got
		}()
		return answer
	}
	require.Equal(t, nats.ErrNoResponders.Error(), string((<-ask("stompbox.app.nobody", "x")).Data))

	// The first server dies with the request; one on another node answers it.
	doomed := test.Dial(t, a).Connect()
	doomed.Subscribe("app", "/app/ask", "ack", "client-individual")
	answer := ask("stompbox.app.ask", "1 + 1")
	require.Equal(t, "native", doomed.Message("1 + 1").Get("note"))
	other := test.Dial(t, b).Connect()
	other.Subscribe("app", "/app/ask", "ack", "client-individual")
	doomed.Close()
	request := other.Message("1 + 1")
	other.Send(frames.SEND, "destination", request.Get("reply-to"), "sure", "yes", "2")
	got := <-answer
	require.Equal(t, "2", string(got.Data))
	require.Equal(t, "yes", got.Header.Get("sure"))

	require.NoError(t, a.Broker.Handle("/app/go", func(_ context.Context, r broker.Request) (*broker.Reply, error) {
		if string(r.Body) == "fail" {
			return nil, errors.New("no")
		}
		return &broker.Reply{Body: []byte("from go")}, nil
	}))
	require.Equal(t, "from go", string((<-ask("stompbox.app.go", "x")).Data))
	got = <-ask("stompbox.app.go", "fail")
	require.Equal(t, "app-failed", got.Header.Get("error"))
	require.Equal(t, "no", string(got.Data))
}

// TestARequestThatTookTooLongFailsOnce has its app server end with it after that.
func TestARequestThatTookTooLongFailsOnce(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{AppTimeout: 300 * time.Millisecond}) {
		t.Run(name, func(t *testing.T) {
			client, server := test.Caller(t, nodes[1], "alice"), test.Dial(t, nodes[0]).Connect()
			server.Subscribe("app", "/app/slow", "ack", "client-individual")
			client.Send(frames.SEND, "destination", "/app/slow", "correlation-id", "1", "reply-to", "/temp-queue/a", "x")
			server.Message("x")
			require.Equal(t, "app-timeout", client.Expect(frames.MESSAGE).Get("error"))
			before := nodes[0].Broker.Stats().Failed
			server.Close()
			require.Eventually(t, func() bool { return nodes[0].Broker.Stats().Failed > before }, test.Patience, time.Millisecond)
			client.Quiet()
		})
	}
}
