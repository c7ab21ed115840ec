package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/codes"
	"github.com/stompbox/stompbox/internal/test"
)

// TestWrongInputGetsAnErrorAndHarmsNoOther sends wrong things while another
// client is connected, which must not notice.
func TestWrongInputGetsAnErrorAndHarmsNoOther(t *testing.T) {
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
		{"UNSUBSCRIBE without id", connect + "UNSUBSCRIBE\ndestination:/topic/a\nreceipt:r\n\n\x00", "missing-header", "needs an id header"},
		{"unknown ACK", connect + "ACK\nid:9\nreceipt:r\n\n\x00", "bad-ack", `no message with id "9"`},
		{"too many transactions", connect + "BEGIN\ntransaction:1\n\n\x00BEGIN\ntransaction:2\nreceipt:r\n\n\x00", "transaction-too-large", "may have 1"},
		{"long header", connect + "SEND\nreceipt:r\nx:" + strings.Repeat("x", 700) + "\n\n\x00", "header-line-too-long", "600 bytes"},
		{"many headers", connect + "SEND\nreceipt:r\n" + strings.Repeat("a:b\n", 20) + "\n\x00", "too-many-headers", "may have 10"},
		{"large body", connect + "SEND\nreceipt:r\ndestination:/topic/a\ncontent-length:1001\n\n", "body-too-large", "1000 bytes"},
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
				require.Equal(t, tt.code, f.Get("code"))
				entry, known := codes.Of(broker.Code(tt.code))
				require.True(t, known)
				if strings.Contains(tt.raw, "receipt:r\n") {
					require.Equal(t, "r", f.Get("receipt-id"))
				}
				c.Closed()
				if kind == "websocket" {
					require.Equal(t, entry.Close, c.CloseCode)
					require.True(t, strings.HasPrefix(c.CloseReason, tt.code+": "), c.CloseReason)
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

// rawOf writes without failing the test.
type rawOf struct{ c *test.Client }

func (r rawOf) Write(p []byte) (int, error) { return r.c.TryRaw(p) }
