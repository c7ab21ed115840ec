package broker_test

import (
	"io"
	"net"
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
	"github.com/stompbox/stompbox/internal/test"
)

// lines returns the log lines with a message, once there are so many.
func lines(t *testing.T, n *test.Node, message string, count int) []string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		found = nil
		for line := range strings.Lines(n.Log.String()) {
			if strings.Contains(line, "msg=\""+message+"\" ") {
				found = append(found, strings.TrimSpace(line))
			}
		}
		return len(found) >= count
	}, test.Patience, 5*time.Millisecond, "%s", n.Log)
	require.Len(t, found, count, n.Log.String())
	return found
}

func TestEachSessionHasALineForItsBeginningAndItsEnd(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	alice := test.Token(t, "alice", time.Hour, auth.Grants{Subscribe: []string{"/topic/a"}})

	c := test.Dial(t, n).Connect("Authorization", "Bearer "+alice)
	line := lines(t, n, "session connected", 1)[0]
	id := c.Connected.Get("session")
	for _, part := range []string{"level=INFO", "session=" + id, "user=alice", "remote=127.0.0.1:", "transport=websocket", "method=jwt", "version=1.2"} {
		require.Contains(t, line, part)
	}
	c.Send(frames.DISCONNECT, "receipt", "bye")
	c.Receipt("bye")
	line = lines(t, n, "session ended", 1)[0]
	for _, part := range []string{"level=INFO", "session=" + id, "user=alice", "code=client-left", `cause="disconnected by the client"`} {
		require.Contains(t, line, part)
	}
	require.Regexp(t, regexp.MustCompile(`open=\d+(\.\d+)?m?s received_bytes=[1-9]\d* sent_bytes=[1-9]\d*`), line)

	c = test.DialTCP(t, n).Connect("Authorization", "Bearer "+alice)
	c.Send(frames.SUBSCRIBE, "id", "1", "destination", "/topic/b")
	c.Error("")
	for message, parts := range map[string][]string{
		"subscription refused":      {"destination=/topic/b", "code=forbidden"},
		"session ended by an error": {"code=forbidden", "open="},
	} {
		line := lines(t, n, message, 1)[0]
		for _, part := range append(parts, "level=INFO", "session="+c.Connected.Get("session"), "user=alice", "transport=tcp") {
			require.Contains(t, line, part)
		}
	}

	c = test.DialTCP(t, n).Connect()
	c.Close()
	line = lines(t, n, "session ended", 2)[1]
	require.Contains(t, line, "user=guest")
	require.Contains(t, line, `code=connection-lost cause="the connection was lost"`)
	lines(t, n, "session ended by an error", 1) // which was not lost in what followed
}

// TestALimitThatIsReachedSaysWhoReachedIt where no session begins, and where the user is known
// before the session is.
func TestALimitThatIsReachedSaysWhoReachedIt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Quotas: broker.Quotas{UserConnections: 1, AddressConnections: 2}}})
	alice := "Bearer " + test.Token(t, "alice", time.Hour, auth.Grants{})
	test.DialTCP(t, n).Connect("Authorization", alice)
	c := test.DialTCP(t, n)
	c.Send(frames.CONNECT, "accept-version", "1.2", "host", "x", "Authorization", alice)
	c.Error("has the limit of 1 connections")
	line := lines(t, n, "session ended by an error", 1)[0]
	for _, part := range []string{"user=alice", "remote=127.0.0.1:", "code=too-many-connections", "limit=user_connections"} {
		require.Contains(t, line, part)
	}
	c.Closed()

	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 1 }, test.Patience, time.Millisecond)
	_, err := n.Broker.Ban(t.Context(), admin.Ban{User: "bob", Until: time.Now().Add(time.Hour), Reason: "spam"})
	require.NoError(t, err)
	c = test.DialTCP(t, n)
	c.Send(frames.CONNECT, "accept-version", "1.2", "host", "x", "Authorization", "Bearer "+test.Token(t, "bob", time.Hour, auth.Grants{}))
	c.Error("you are banned")
	require.Contains(t, lines(t, n, "session ended by an error", 2)[1], "user=bob")
	c.Closed()

	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 1 }, test.Patience, time.Millisecond)
	test.DialTCP(t, n)
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 2 }, test.Patience, time.Millisecond)
	test.DialTCP(t, n).Error("your address has its limit of 2 connections")
	line = lines(t, n, "a connection was refused", 1)[0]
	for _, part := range []string{"level=INFO", "limit=address_connections", "remote=127.0.0.1:", "transport=tcp", "code=too-many-connections"} {
		require.Contains(t, line, part)
	}

	n = test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxConnections: 1}}})
	test.DialTCP(t, n).Connect()
	test.DialTCP(t, n).Error("limit of 1 connections")
	require.Regexp(t, `level=WARN .* limit=1 remote=127\.0\.0\.1:\d+ transport=tcp`, lines(t, n, "connections are refused: there are as many as the limit allows", 1)[0])
}

// TestWhatATransportRefusesIsNotALeavingClient but has its reason, before CONNECT as well.
func TestWhatATransportRefusesIsNotALeavingClient(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wire, reason string
		limited      int64
	}{
		"too large":      {"\x82\xfe\x10\x00\x00\x00\x00\x00", "the WebSocket message is too large", 1},
		"an opcode":      {"\x83\x80\x00\x00\x00\x00", "has an opcode that is not defined", 0},
		"without a mask": {"\x82\x01x", "has to be masked", 0},
		"no UTF-8":       {"\x81\x81\x00\x00\x00\x00\xff", "has to be UTF-8", 0},
	} {
		for _, connected := range []bool{true, false} {
			t.Run(name+" "+strconv.FormatBool(connected), func(t *testing.T) {
				t.Parallel()
				n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{MaxMessage: 1000}})
				c := test.Dial(t, n)
				user := `""`
				if connected {
					c.Connect()
					user = "guest"
				}
				c.Wire(tt.wire)
				c.Closed()
				line := lines(t, n, "session ended", 1)[0]
				require.Contains(t, line, "level=INFO")
				require.Contains(t, line, "user="+user+" remote=127.0.0.1:")
				require.Regexp(t, `code=message-refused cause="[^"]*`+tt.reason, line)
				require.NotContains(t, line, "error=")
				require.Equal(t, tt.limited, n.Broker.Stats().Limited["max_message"])
			})
		}
	}
}

func TestStrangersDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	const many = 60
	began := time.Now()
	for range many {
		c := test.DialTCP(t, n)
		c.Send(frames.CONNECT, "accept-version", "1.2", "host", "x")
		c.Error("authentication failed")
	}
	require.Equal(t, int64(many), n.Broker.Stats().Errors["unauthenticated"])
	logged := strings.Count(n.Log.String(), "session ended by an error")
	require.GreaterOrEqual(t, logged, 20)
	require.LessOrEqual(t, logged, 21+int(time.Since(began)/time.Second))
	require.NotContains(t, n.Log.String(), "level=WARN")
}

// TestTheLogHasAllBytesThatASessionWasSent also the ERROR that ended it.
func TestTheLogHasAllBytesThatASessionWasSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ frame, message, code string }{
		"an error":        {"SEND\ndestination:nowhere\n\nx\x00", "session ended by an error", "bad-destination"},
		"a DISCONNECT":    {"DISCONNECT\nreceipt:bye\n\n\x00", "session ended", "client-left"},
		"a command twice": {"CONNECT\naccept-version:1.2\nhost:x\n\n\x00", "session ended by an error", "connected-twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := test.Start(t, test.Options{})
			c, err := net.Dial("tcp", n.TCP)
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			require.NoError(t, c.SetDeadline(time.Now().Add(test.Patience)))
			_, err = io.WriteString(c, "CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:guest\n\n\x00"+
				"SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00SEND\ndestination:/topic/a\n\nto be read\x00"+tt.frame)
			require.NoError(t, err)
			all, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Contains(t, string(all), "to be read")
			require.NoError(t, c.Close())
			line := lines(t, n, tt.message, 1)[0]
			require.Contains(t, line, "code="+tt.code)
			require.Contains(t, line, "sent_bytes="+strconv.Itoa(len(all)))
		})
	}
}

func TestTheLogSaysWhichSessionsAShutdownEnded(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	require.NoError(t, n.Broker.Shutdown(t.Context()))
	c.Closed()
	require.Contains(t, lines(t, n, "session ended", 1)[0], `code=shutting-down cause="the server is shutting down"`)
}

// TestOneUserFillsNoLog: who connects again and again has a bounded number of lines, and others
// have theirs.
func TestOneUserFillsNoLog(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	token := test.Token(t, "mallory", time.Hour, auth.AllGrants())
	connect := func() { test.DialTCP(t, n).Connect("Authorization", "Bearer "+token).Close() }
	require.Eventually(t, func() bool {
		var several sync.WaitGroup
		for range 10 {
			several.Go(func() {
				for range 10 {
					connect()
				}
			})
		}
		several.Wait()
		return n.Broker.Stats().Limited["user_log_lines"] > 0
	}, test.Patience, time.Millisecond)
	id := test.Dial(t, n).Connect().Connected.Get("session")
	require.Eventually(t, func() bool {
		return strings.Contains(n.Log.String(), "msg=\"session connected\" session="+id)
	}, test.Patience, time.Millisecond)
}
