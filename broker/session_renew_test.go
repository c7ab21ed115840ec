package broker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// granting renews each principal but those of others with other permissions.
func granting(t *testing.T, user string, grants auth.Grants) func(*auth.Principal) (*auth.Principal, error) {
	t.Helper()
	permissions, err := auth.NewPermissions(grants, user)
	require.NoError(t, err)
	return func(p *auth.Principal) (*auth.Principal, error) {
		if p.Name != user {
			return p, nil
		}
		renewed := *p
		renewed.Permissions = permissions
		return &renewed, nil
	}
}

func connectAs(t *testing.T, n *test.Node, user string, grants auth.Grants) *test.Client {
	t.Helper()
	return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, grants))
}

// TestReauthorizeEndsSubscriptionsAndKeepsSessions: what a principal may not have any
// more ends, of every kind, its session learns of each, and the rest goes on.
func TestReauthorizeEndsSubscriptionsAndKeepsSessions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	guest := test.Dial(t, n).Connect()
	c := connectAs(t, n, "alice", auth.AllGrants())
	ended := map[string]string{
		"topic": "/topic/a", "pattern": "/topic/b.*", "wide": "/topic/**", "replayed": "/topic/chat.a", "own": "/user/queue/private",
		"queue": "/queue/a", "presence": "/topic/$presence/a", "serves": "/app/a",
	}
	c.Subscribe("errors", "/user/queue/errors")
	c.Subscribe("stays", "/topic/free")
	for id, dest := range ended {
		switch id {
		case "presence":
			continue // this node has no presence of topics
		case "replayed":
			c.Subscribe(id, dest, "replay-last", "1")
		case "queue":
			c.Subscribe(id, dest, "ack", "client-individual")
		default:
			c.Subscribe(id, dest)
		}
	}
	delete(ended, "presence")
	c.Subscribe("durable", "/topic/chat.d", "durable", "true")
	ended["durable"] = "/topic/chat.d"
	guest.SendKept("/queue/a", "held")
	held := c.Message("held").Get("ack")
	c.Send(frames.BEGIN, "transaction", "t")
	c.Send(frames.SEND, "destination", "/topic/free", "transaction", "t", "receipt", "buffered", "in a transaction")
	c.Receipt("buffered")

	renewal := n.Broker.Reauthorize(granting(t, "alice", auth.Grants{Subscribe: []string{"/topic/free", "/user/queue/errors"}}))
	require.Equal(t, broker.Renewal{Sessions: 2, Revoked: len(ended)}, renewal)
	require.EqualValues(t, len(ended), n.Broker.Stats().Revoked)
	require.EqualValues(t, 2, n.Broker.Stats().Subscriptions)
	said := make(map[string]bool)
	for range ended {
		m := c.Expect(frames.MESSAGE)
		require.Equal(t, "errors", m.Get("subscription"))
		require.Equal(t, "forbidden", m.Get("error"))
		said[m.Get("failed-destination")] = true
		require.Contains(t, string(m.Body), "has ended: destination ")
	}
	for _, dest := range ended {
		require.True(t, said[dest], "%s of %v", dest, said)
		if kind, err := destination.KindOf(dest); err == nil && kind != destination.App && !strings.Contains(dest, "*") {
			guest.Send(frames.SEND, "destination", strings.Replace(dest, "/user/", "/user/alice/", 1), "receipt", dest, "not for alice")
			guest.Receipt(dest)
		}
	}
	guest.Send(frames.SEND, "destination", "/topic/free", "still there")
	c.Message("still there")
	c.Send(frames.ACK, "id", held, "receipt", "held") // what it was given it can acknowledge
	c.Receipt("held")
	c.Send(frames.UNSUBSCRIBE, "id", "topic", "receipt", "gone") // a client that has not heard of it yet
	c.Receipt("gone")
	c.Send(frames.COMMIT, "transaction", "t", "receipt", "commit")
	require.Equal(t, "commit", c.Error("no send permission").Get("receipt-id"), "it was allowed, and is not any more")
	guest.Subscribe("q", "/queue/a")
	guest.Message("not for alice")
	guest.Quiet()
}

// TestReauthorizeTakesSendsAwayAndGivesThem holds for the next frame of a session.
func TestReauthorizeTakesSendsAwayAndGivesThem(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	guest := test.Dial(t, n).Connect()
	guest.Subscribe("s", "/topic/**")
	c := connectAs(t, n, "alice", auth.Grants{Send: []string{"/topic/a"}})
	require.Equal(t, broker.Renewal{Sessions: 2}, n.Broker.Reauthorize(granting(t, "alice", auth.Grants{Send: []string{"/topic/b"}})))
	c.Send(frames.SEND, "destination", "/topic/b", "given")
	guest.Message("given")
	c.Send(frames.SEND, "destination", "/topic/a", "taken away")
	c.Error("no send permission")
	guest.Quiet()
}

// TestReauthorizeEndsWhoIsNotKnownAnyMore: sessions over STOMP and streams of events.
func TestReauthorizeEndsWhoIsNotKnownAnyMore(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	guest := test.Dial(t, n).Connect()
	c := connectAs(t, n, "alice", auth.AllGrants())
	connecting := test.Dial(t, n)
	renew := func(p *auth.Principal) (*auth.Principal, error) {
		if p.Name == "alice" {
			return nil, errors.New("alice has left")
		}
		return p, nil
	}
	require.Equal(t, broker.Renewal{Sessions: 2, Ended: 1}, n.Broker.Reauthorize(renew))
	require.NotContains(t, string(c.Error("not accepted any more").Body), "alice has left")
	c.Closed()
	connecting.Connect().Subscribe("s", "/topic/a")
	guest.Send(frames.SEND, "destination", "/topic/a", "others go on")
	connecting.Message("others go on")
	require.EqualValues(t, 1, n.Broker.Stats().Errors[broker.CodeUnauthenticated])
}

// TestReconfigureHoldsAtOnce: for the sessions that are open, the next frame.
func TestReconfigureHoldsAtOnce(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	old := test.Dial(t, n).Connect()
	old.Subscribe("1", "/topic/a")
	old.Subscribe("2", "/topic/b")
	require.NoError(t, n.Broker.Reconfigure(broker.Options{
		Limits: broker.Limits{MaxSubscriptions: 2, Frame: frames.Limits{MaxBody: 4}, MaxConnections: 2},
		Quotas: broker.Quotas{UserMessageRate: 1},
	}))
	require.Equal(t, 4, n.Broker.Limits().Frame.MaxBody)
	c := test.Dial(t, n).Connect()
	test.Dial(t, n).Error("limit of 2 connections")
	c.Subscribe("1", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "1234")
	old.Message("1234")
	c.Message("1234")
	c.Send(frames.SEND, "destination", "/topic/a", "1234")
	c.Error("more than 1 messages a second")
	old.Send(frames.SUBSCRIBE, "id", "3", "destination", "/topic/c")
	old.Error("a connection may have 2 subscriptions")

	require.NoError(t, n.Broker.Reconfigure(broker.Options{Limits: broker.Limits{Frame: frames.Limits{MaxBody: 4}}}))
	c = test.Dial(t, n).Connect()
	require.NoError(t, n.Broker.Reconfigure(broker.Options{Limits: broker.Limits{Frame: frames.Limits{MaxBody: 8}}}))
	c.Subscribe("1", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "12345678")
	c.Message("12345678")
	c.Send(frames.SEND, "destination", "/topic/a", "123456789")
	c.Error("limit of 8 bytes")
}

// TestReconfigureChangesWhatQueuesAreLike, but not where they are stored.
func TestReconfigureChangesWhatQueuesAreLike(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	pattern, err := destination.ParsePattern("/queue/a")
	require.NoError(t, err)
	once := broker.QueueDefaults{Policies: []broker.QueuePolicy{{Match: pattern, MaxDeliveries: 1}}}
	c.Subscribe("dead", "/queue/DLQ.a")
	c.Subscribe("q", "/queue/a", "ack", "client-individual")
	require.NoError(t, n.Broker.Reconfigure(broker.Options{Queues: once}))
	c.Send(frames.SEND, "destination", "/queue/a", "once")
	c.Send(frames.NACK, "id", c.Message("once").Get("ack"))
	require.Equal(t, "dead", c.Message("once").Get("subscription"), "by the policy that came while the queue was open")

	bounded := broker.QueueDefaults{Policies: []broker.QueuePolicy{{Match: pattern, MaxMessages: 10}}}
	require.ErrorContains(t, n.Broker.Reconfigure(broker.Options{Queues: bounded}), "queues.max_messages")
	require.ErrorContains(t, n.Broker.Reconfigure(broker.Options{HeartBeat: broker.HeartBeat{Grace: 0.5}}), "Grace")
}
