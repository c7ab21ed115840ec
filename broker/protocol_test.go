package broker_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestConnectNegotiatesEachVersion(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for accept, want := range map[string]string{"1.2,1.1,1.0": "1.2", "1.1": "1.1", "1.0,1.1": "1.1"} {
		c := test.Dial(t, n).Connect("accept-version", accept)
		require.Equal(t, want, c.Connected.Get("version"))
		require.Equal(t, "10000,10000", c.Connected.Get("heart-beat"))
		require.Equal(t, "guest", c.Connected.Get("user-name"))
		require.NotEmpty(t, c.Connected.Get("session"))
		require.Contains(t, c.Connected.Get("server"), "stompbox")
	}
	c := test.Dial(t, n)
	c.Raw("CONNECT\nlogin:guest\npasscode:guest\n\n\x00")
	f := c.Expect(frames.CONNECTED)
	require.Empty(t, f.Get("version"), "1.0 has no version header")

	c = test.Dial(t, n)
	c.Send(frames.CONNECT, "accept-version", "2.0")
	f = c.Error("no version in common")
	require.Equal(t, "1.0,1.1,1.2", f.Get("version"))
}

func TestTopicReachesEverySubscriberOnce(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	exact, pattern, all, tcp := test.Dial(t, n).Connect(), test.Dial(t, n).Connect(), test.Dial(t, n).Connect(), test.DialTCP(t, n).Connect()
	exact.Subscribe("a", "/topic/chat.room1")
	pattern.Subscribe("b", "/topic/chat.*")
	all.Subscribe("c", "/topic/**")
	tcp.Subscribe("d", "/topic/chat.room1")
	sender := test.Dial(t, n).Connect()
	sender.Send(frames.SEND, "destination", "/topic/chat.room1", "receipt", "1", "colour", "re:d", "user", "mallory", "session", "x", "message-id", "forged", "subscription", "forged", "timestamp", "1", "hello")
	sender.Receipt("1")
	for id, c := range map[string]*test.Client{"a": exact, "b": pattern, "c": all, "d": tcp} {
		f := c.Message("hello")
		require.Equal(t, id, f.Get("subscription"))
		require.Equal(t, "/topic/chat.room1", f.Get("destination"))
		require.Equal(t, "re:d", f.Get("colour"))
		require.Equal(t, "guest", f.Get("user"), "stamped by the broker")
		require.Equal(t, sender.Connected.Get("session"), f.Get("session"))
		require.NotEqual(t, "forged", f.Get("message-id"))
		require.NotEqual(t, "1", f.Get("timestamp"))
		require.Empty(t, f.Get("receipt"))
		c.Quiet()
	}
	sender.Send(frames.SEND, "destination", "/topic/chat/room1", "receipt", "2", "slash")
	sender.Receipt("2")
	all.Message("slash")
	exact.Quiet()
	pattern.Quiet()
}

func TestUserMessagesReachAllSessionsOfAUser(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	as := func(user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
	}
	first, second, bob := as("al/ice"), as("al/ice"), as("bob")
	for _, c := range []*test.Client{first, second, bob} {
		c.Subscribe("q", "/user/queue/chat")
	}
	bob.Send(frames.SEND, "destination", "/user/al%2Fice/queue/chat", "both")
	for _, c := range []*test.Client{first, second} {
		f := c.Message("both")
		require.Equal(t, "/user/queue/chat", f.Get("destination"))
		require.Equal(t, "bob", f.Get("user"))
	}
	bob.Send(frames.SEND, "destination", "/user/al%2Fice/queue/chat", "session", second.Connected.Get("session"), "one")
	second.Message("one")
	first.Quiet()
	bob.Quiet()
	bob.Send(frames.SEND, "destination", "/user/bob", "x")
	bob.Error("/user/<user>/<name>")
}

func TestReceiptsUnsubscribeAndNoEcho(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/topic/a", "no-echo", "true", "mine")
	c.Quiet()
	c.Send(frames.SEND, "destination", "/topic/a", "echo")
	c.Message("echo")
	c.Send(frames.UNSUBSCRIBE, "id", "s", "receipt", "u")
	c.Receipt("u")
	c.Send(frames.SEND, "destination", "/topic/a", "late")
	c.Quiet()
	require.Zero(t, n.Broker.Stats().Subscriptions)
	c.Send(frames.DISCONNECT, "receipt", "bye")
	c.Receipt("bye")
	c.Closed()
	require.Equal(t, 1000, c.CloseCode)
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxTransactionFrames: 3}}})
	reader, c := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	reader.Subscribe("s", "/topic/a")
	c.Send(frames.BEGIN, "transaction", "t1")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t1", "receipt", "r", "one")
	c.Receipt("r")
	c.Send(frames.BEGIN, "transaction", "t2")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t2", "dropped")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t1", "two")
	c.Send(frames.ABORT, "transaction", "t2", "receipt", "aborted")
	c.Receipt("aborted")
	reader.Quiet()
	c.Send(frames.COMMIT, "transaction", "t1", "receipt", "done")
	c.Receipt("done")
	reader.Message("one")
	require.Empty(t, reader.Message("two").Get("transaction"))
	reader.Quiet()

	lost := test.Dial(t, n).Connect()
	lost.Send(frames.BEGIN, "transaction", "t")
	lost.Send(frames.SEND, "destination", "/topic/a", "transaction", "t", "receipt", "r", "lost")
	lost.Receipt("r")
	lost.Close()
	reader.Quiet()

	for name, frames := range map[string][]string{
		"open already":        {"BEGIN\ntransaction:t\n\n\x00", "BEGIN\ntransaction:t\nreceipt:x\n\n\x00"},
		"no open transaction": {"COMMIT\ntransaction:t\nreceipt:x\n\n\x00"},
		"needs a transaction": {"BEGIN\nreceipt:x\n\n\x00"},
		"is too large":        {"BEGIN\ntransaction:t\n\n\x00", strings.Repeat("SEND\ndestination:/topic/a\ntransaction:t\nreceipt:x\n\n\x00", 4)},
	} {
		c := test.DialTCP(t, n).Connect()
		for _, raw := range frames {
			c.Raw(raw)
		}
		if name == "is too large" {
			for range 3 {
				c.Receipt("x")
			}
		}
		require.Equal(t, "x", c.Error(name).Get("receipt-id"))
	}
}

func TestAcknowledgementsOnTopics(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	publish := func(bodies ...string) {
		c := test.Dial(t, n).Connect()
		for _, b := range bodies {
			c.Send(frames.SEND, "destination", "/topic/a", b)
		}
		c.Quiet()
	}
	c12, c11, c10 := test.Dial(t, n).Connect(), test.Dial(t, n).Connect("accept-version", "1.1"), test.Dial(t, n).Connect("accept-version", "1.0")
	c12.Subscribe("s", "/topic/a", "ack", "client-individual")
	c11.Subscribe("s", "/topic/a", "ack", "client")
	c10.Subscribe("s", "/topic/a", "ack", "client")
	publish("1", "2", "3")
	var ids12, ids11, ids10 []string
	for _, body := range []string{"1", "2", "3"} {
		ids12 = append(ids12, c12.Message(body).Get("ack"))
		f := c11.Message(body)
		require.Empty(t, f.Get("ack"), "1.1 has no ack header")
		ids11 = append(ids11, f.Get("message-id"))
		ids10 = append(ids10, c10.Message(body).Get("message-id"))
	}
	c12.Send(frames.ACK, "id", ids12[2], "receipt", "a")
	c12.Receipt("a")
	c12.Send(frames.NACK, "id", ids12[0], "receipt", "b")
	c12.Receipt("b")
	c12.Send(frames.ACK, "id", ids12[2], "receipt", "twice")
	require.Equal(t, "twice", c12.Error("no message with id").Get("receipt-id"))

	c11.Send(frames.ACK, "message-id", ids11[1], "subscription", "s", "receipt", "a")
	c11.Receipt("a")
	c11.Send(frames.ACK, "message-id", ids11[0], "subscription", "s")
	c11.Error("no message with id") // acknowledged with the one after it

	c10.Send(frames.ACK, "message-id", ids10[2], "receipt", "a")
	c10.Receipt("a")
	c10.Send(frames.NACK, "message-id", ids10[2])
	c10.Error("NACK exists since STOMP 1.1")
}

func TestSTOMP10SubscribesByDestination(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect("accept-version", "1.0")
	c.Send(frames.SUBSCRIBE, "destination", "/topic/a", "receipt", "s")
	c.Receipt("s")
	c.Send(frames.SEND, "destination", "/topic/a", "hi")
	_, has := c.Message("hi").Headers.Lookup("subscription")
	require.False(t, has)
	c.Send(frames.UNSUBSCRIBE, "destination", "/topic/a", "receipt", "u")
	c.Receipt("u")
	c.Send(frames.UNSUBSCRIBE, "destination", "/topic/a")
	c.Error("no subscription without id")
}

func TestHeartBeatsGoBothWays(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{HeartBeat: broker.HeartBeat{Send: 100 * time.Millisecond, Receive: 100 * time.Millisecond, Grace: 25}}})
	raw, err := net.Dial("tcp", n.TCP)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.Write([]byte("CONNECT\naccept-version:1.2\nheart-beat:100,100\nlogin:guest\npasscode:guest\n\n\x00"))
	require.NoError(t, err)
	beats := 0
	buffer := make([]byte, 512)
	for beats < 5 {
		require.NoError(t, raw.SetReadDeadline(time.Now().Add(time.Minute)))
		k, err := raw.Read(buffer)
		require.NoError(t, err)
		if string(buffer[:k]) == "\n" {
			beats++
		}
		_, err = raw.Write([]byte("\n"))
		require.NoError(t, err)
	}

	silent := test.Dial(t, n).Connect("heart-beat", "100,0")
	silent.Error("no heart-beat for")
	require.Equal(t, 1008, silent.CloseCode)
	none := test.Dial(t, n).Connect("heart-beat", "0,0")
	time.Sleep(3 * time.Second)
	none.Quiet()
}

func TestTheSessionEndsWhenItsTokenDoes(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	token := func(user string, ttl time.Duration, grants auth.Grants) string {
		return test.Token(t, user, ttl, grants)
	}
	c := test.Dial(t, n).Connect("Authorization", "Bearer "+token("alice", 6*time.Second, auth.Grants{}))
	refreshed := test.Dial(t, n).Connect("passcode", token("alice", 6*time.Second, auth.Grants{}), "login", "")
	refreshed.Subscribe("s", "/topic/a")
	refreshed.Send(frames.SEND, "destination", "/session/token", "receipt", "r", token("alice", time.Hour, auth.Grants{Subscribe: []string{"/topic/*"}}))
	refreshed.Receipt("r")
	c.Error("token has expired")
	require.Contains(t, n.Log.String(), "code=token-expired")
	refreshed.Quiet()
	refreshed.Send(frames.SEND, "destination", "/topic/a", "x")
	refreshed.Error("no send permission") // the fresh token's permissions count

	c = test.Dial(t, n).Connect("Authorization", "Bearer "+token("alice", time.Hour, auth.Grants{}))
	c.Send(frames.SEND, "destination", "/session/token", token("bob", time.Hour, auth.Grants{}))
	c.Error("authentication failed")
	c = test.Dial(t, n).Connect("Authorization", "Bearer "+token("alice", time.Hour, auth.Grants{}))
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/session/token", token("alice", time.Hour, auth.Grants{Subscribe: []string{"/topic/b"}}))
	c.Error(`"/topic/a": no subscribe permission`)
}

// TestWrongInputGetsAnErrorAndHarmsNobody sends wrong things while another
// client is connected, which must not notice.
func TestWrongInputGetsAnErrorAndHarmsNobody(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{
		Frame: frames.Limits{MaxHeaders: 10, MaxHeaderLine: 600, MaxBody: 1000}, MaxSubscriptions: 2, MaxTransactions: 1, MessageRate: 50, MaxDestination: 100,
	}}})
	limited := test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/topic/ok"}, Subscribe: []string{"/topic/chat.*", "/user/**"}})
	const connect = "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\x00"
	asAlice := "CONNECT\naccept-version:1.2\nAuthorization:Bearer " + limited + "\n\n\x00"
	bearer := func(token string) string {
		return "CONNECT\naccept-version:1.2\nreceipt:r\nAuthorization:Bearer " + token + "\n\n\x00"
	}
	tests := []struct{ name, raw, code, says string }{
		{"junk", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "unknown-command", "not a STOMP command"},
		{"binary junk", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01", "unknown-command", "not a STOMP command"},
		{"SEND before CONNECT", "SEND\ndestination:/topic/a\nreceipt:r\n\nx\x00", "not-connected", "first frame has to be CONNECT"},
		{"CONNECT twice", connect + connect, "connected-twice", "connected already"},
		{"server frame", connect + "MESSAGE\nreceipt:r\n\nx\x00", "unexpected-command", "for servers"},
		{"wrong version", "CONNECT\naccept-version:9\nreceipt:r\n\n\x00", "no-common-version", "it speaks 1.0,1.1,1.2"},
		{"wrong heart-beat", "CONNECT\naccept-version:1.2\nheart-beat:x\n\n\x00", "malformed-heart-beat", "two numbers"},
		{"no credentials", "CONNECT\naccept-version:1.2\n\n\x00", "unauthenticated", "authentication failed"},
		{"wrong passcode", "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:x\n\n\x00", "unauthenticated", "authentication failed"},
		{"malformed token", bearer("abc"), "unauthenticated", "authentication failed"},
		{"expired token", bearer(test.Token(t, "alice", time.Nanosecond, auth.Grants{})), "unauthenticated", "authentication failed"},
		{"wrongly signed token", bearer(limited + "x"), "unauthenticated", "authentication failed"},
		{"forbidden SEND", asAlice + "SEND\ndestination:/topic/no\nreceipt:r\n\nx\x00", "forbidden", `destination "/topic/no": no send permission`},
		{"forbidden SUBSCRIBE", asAlice + "SUBSCRIBE\nid:1\ndestination:/topic/**\nreceipt:r\n\n\x00", "forbidden", "no subscribe permission"},
		{"no destination", connect + "SEND\nreceipt:r\n\nx\x00", "missing-header", "destination header"},
		{"unknown prefix", connect + "SEND\ndestination:/nowhere/a\nreceipt:r\n\nx\x00", "bad-destination", "has to begin with /topic/"},
		{"empty name", connect + "SEND\ndestination:/topic/\nreceipt:r\n\nx\x00", "bad-destination", "no name after /topic/"},
		{"pattern in SEND", connect + "SEND\ndestination:/topic/a.*\nreceipt:r\n\nx\x00", "bad-destination", "without wildcards"},
		{"pattern in the middle", connect + "SUBSCRIBE\nid:1\ndestination:/topic/**/a\nreceipt:r\n\n\x00", "bad-destination", "last word"},
		{"long destination", connect + "SEND\ndestination:/topic/" + strings.Repeat("x", 100) + "\nreceipt:r\n\nx\x00", "bad-destination", "limit is 100"},
		{"queue by pattern", connect + "SUBSCRIBE\nid:1\ndestination:/queue/*\nreceipt:r\n\n\x00", "bad-destination", "cannot be subscribed to by a pattern"},
		{"temp-queue", connect + "SUBSCRIBE\nid:1\ndestination:/temp-queue/a\nreceipt:r\n\n\x00", "bad-destination", "reply-to header of a SEND"},
		{"expires", connect + "SEND\ndestination:/queue/a\nexpires:soon\nreceipt:r\n\nx\x00", "bad-header", "milliseconds since 1970"},
		{"prefetch", connect + "SUBSCRIBE\nid:1\ndestination:/queue/a\nprefetch-count:-1\nreceipt:r\n\n\x00", "bad-header", "not a number of messages"},
		{"app", connect + "SEND\ndestination:/app/a\nreply-to:/topic/a\nreceipt:r\n\n\x00", "bad-header", "a request is answered to"},
		{"reply", connect + "SUBSCRIBE\nid:1\ndestination:/reply/a\nreceipt:r\n\n\x00", "bad-destination", "cannot subscribe"},
		{"selector", connect + "SUBSCRIBE\nid:1\ndestination:/topic/a\nselector:x\nreceipt:r\n\n\x00", "bad-header", "selectors"},
		{"no id", connect + "SUBSCRIBE\ndestination:/topic/a\nreceipt:r\n\n\x00", "missing-header", "id header"},
		{"id twice", connect + "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:r\n\n\x00", "bad-subscription", "already"},
		{"wrong ack mode", connect + "SUBSCRIBE\nid:1\nack:maybe\ndestination:/topic/a\nreceipt:r\n\n\x00", "bad-header", `ack mode "maybe"`},
		{"too many subscriptions", connect + "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00SUBSCRIBE\nid:2\ndestination:/topic/a\n\n\x00SUBSCRIBE\nid:3\ndestination:/topic/a\nreceipt:r\n\n\x00", "too-many-subscriptions", "may have 2"},
		{"unknown UNSUBSCRIBE", connect + "UNSUBSCRIBE\nid:9\nreceipt:r\n\n\x00", "bad-subscription", `no subscription with id "9"`},
		{"unknown ACK", connect + "ACK\nid:9\nreceipt:r\n\n\x00", "bad-ack", `no message with id "9"`},
		{"too many transactions", connect + "BEGIN\ntransaction:1\n\n\x00BEGIN\ntransaction:2\nreceipt:r\n\n\x00", "transaction-too-large", "may have 1"},
		{"long header", connect + "SEND\nreceipt:r\nx:" + strings.Repeat("x", 700) + "\n\n\x00", "header-line-too-long", "600 octets"},
		{"many headers", connect + "SEND\nreceipt:r\n" + strings.Repeat("a:b\n", 20) + "\n\x00", "too-many-headers", "may have 10"},
		{"large body", connect + "SEND\nreceipt:r\ndestination:/topic/a\ncontent-length:1001\n\n", "body-too-large", "1000 octets"},
		{"wrong content-length", connect + "SEND\nreceipt:r\ndestination:/topic/a\ncontent-length:1\n\nabc\x00", "wrong-content-length", "content-length is 1"},
		{"undefined escape", connect + "SEND\nreceipt:r\ndestination:/topic/a\\t\n\nabc\x00", "undefined-escape", "undefined escape"},
		{"message rate", connect + strings.Repeat("SEND\ndestination:/topic/flood\n\n\x00", 80), "message-rate", "50 messages a second"},
	}
	bystander := test.Dial(t, n).Connect()
	bystander.Subscribe("s", "/topic/ok")
	for _, tt := range tests {
		for kind, dial := range map[string]func(testing.TB, *test.Node) *test.Client{"websocket": test.Dial, "tcp": test.DialTCP} {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				before := n.Broker.Stats().Errors[broker.Code(tt.code)]
				c := dial(t, n)
				c.Raw(tt.raw)
				f, err := c.Next()
				require.NoError(t, err)
				if f.Command == frames.CONNECTED {
					f, err = c.Next()
					require.NoError(t, err)
				}
				require.Equal(t, frames.ERROR, f.Command)
				require.Contains(t, f.Get("message"), tt.says)
				if strings.Contains(tt.raw, "receipt:r\n") {
					require.Equal(t, "r", f.Get("receipt-id"))
				}
				c.Closed()
				if kind == "websocket" {
					require.Contains(t, []int{1002, 1008}, c.CloseCode)
				}
				require.Equal(t, before+1, n.Broker.Stats().Errors[broker.Code(tt.code)])
				require.Contains(t, n.Log.String(), "code="+tt.code)
			})
		}
	}
	require.NotContains(t, n.Log.String(), limited, "tokens are never logged")
	bystander.Send(frames.SEND, "destination", "/topic/ok", "fine")
	bystander.Message("fine")
}

func TestNoConnectInTime(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{ConnectTimeout: 200 * time.Millisecond}}})
	for _, c := range []*test.Client{test.Dial(t, n), test.DialTCP(t, n)} {
		c.Error("no CONNECT frame within 200ms")
	}
	dripping := test.DialTCP(t, n)
	go func() {
		for range 20 {
			if _, err := fmt.Fprint(rawOf{dripping}, "\n"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	dripping.Error("no CONNECT frame")
}

// rawOf writes without failing the test.
type rawOf struct{ c *test.Client }

func (r rawOf) Write(p []byte) (int, error) { return r.c.TryRaw(p) }

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxConnections: 1}}})
	first := test.Dial(t, n).Connect()
	second := test.Dial(t, n)
	second.Closed()
	require.Equal(t, 1008, second.CloseCode)
	test.DialTCP(t, n).Error("limit of 1 connections")
	first.Quiet()
}
