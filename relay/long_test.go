package relay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/relay"
)

// plainNATS is a NATS server with the limits that it has by default.
func plainNATS(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(test.Patience))
	return s.ClientURL()
}

// TestNoNameEndsTheConnectionToNATS tries names that are long as a subject, or as far
// as they may be, everywhere that a client can name something.
func TestNoNameEndsTheConnectionToNATS(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSURL: plainNATS(t), Histories: []driver.HistoryPolicy{
		test.History(t, "all", "/topic/kept.**", 10), test.History(t, "notes", "/user/*/notes/**", 10),
	}})
	for name, refused := range map[string]bool{
		strings.Repeat("u", 2100): true, strings.Repeat("%", 420): true, strings.Repeat(".", 2000): true, strings.Repeat("ö", 600): true,
		strings.Repeat("u", 1000): false, strings.Repeat("%", 200): false, strings.Repeat(".", 250): false,
	} {
		c := test.Dial(t, n)
		token := test.Token(t, name, time.Hour, auth.Grants{})
		if refused {
			c.Send(frames.CONNECT, "accept-version", "1.2", "Authorization", "Bearer "+token)
			c.Error("the user's name takes more than 1024 bytes")
			continue
		}
		c.Connect("Authorization", "Bearer "+token)
		c.Subscribe("q", "/user/queue/x")
		c.Subscribe("h", "/user/notes/"+strings.Repeat("..", 200), "last-event-id", "e-1")
		c.Subscribe("d", "/user/notes/x", "durable", "true")
		test.Dial(t, n).Connect().Send(frames.SEND, "destination", "/user/"+destination.EscapeSegment(name)[:min(400, len(destination.EscapeSegment(name)))]+"/queue/x", "x")
	}
	long := map[string]string{"dots": strings.Repeat(".", 490), "percent": strings.Repeat("%", 490), "letters": strings.Repeat("x", 490), "slashes": strings.Repeat("/", 490), "spaces": strings.Repeat(" ", 490)}
	for kind, name := range long {
		for _, prefix := range []string{"/topic/", "/topic/kept.", "/queue/", "/app/", "/user/a/notes/"} {
			c := test.Dial(t, n).Connect()
			c.Send(frames.SEND, "destination", prefix+name, "receipt", "r", "dedup-id", name, "x")
			if f := c.Expect(frames.RECEIPT); prefix == "/app/" {
				require.Equal(t, "r", f.Get("receipt-id"), kind)
			}
		}
		for _, prefix := range []string{"/topic/", "/topic/kept.", "/queue/", "/app/", "/user/notes/"} {
			c := test.Dial(t, n).Connect()
			c.Subscribe("s", prefix+name)
		}
	}
	c := test.Dial(t, n).Connect()
	c.Send(frames.SUBSCRIBE, "destination", "/topic/kept.a", "durable", "true", "id", strings.Repeat("i", 2000))
	c.Error("the id of a durable subscription has 2000 bytes; the limit is 512")
	_, err := n.Relay.Driver().QueueAdmin.MoveQueue(t.Context(), "/queue/"+strings.Repeat("m", 5000), 1, func(*driver.Message) (string, driver.QueueOptions) { return "", driver.QueueOptions{} })
	require.ErrorIs(t, err, driver.ErrKeyTooLong)
	require.True(t, n.Relay.Ready())
	require.NoError(t, n.Relay.LostError())
	for _, line := range []string{"lost NATS", "ended the connection"} {
		require.NotContains(t, n.Log.String(), line)
	}
}

func TestRelayRefusesNamesThatNATSWouldNotTake(t *testing.T) {
	t.Parallel()
	r, err := relay.Dial(relay.Options{URL: plainNATS(t)})
	require.NoError(t, err)
	defer r.Close()
	d := r.Driver()
	long := "/topic/" + strings.Repeat("x", 5000)
	m := &driver.Message{Key: long, Destination: long}
	require.ErrorIs(t, d.Bus.Publish(m), driver.ErrKeyTooLong)
	require.ErrorIs(t, d.Queues.Offer(m, nil), driver.ErrKeyTooLong)
	_, err = d.Bus.Subscribe(long, nil)
	require.ErrorIs(t, err, driver.ErrKeyTooLong)
	_, err = d.Requests.Serve(long, nil)
	require.ErrorIs(t, err, driver.ErrKeyTooLong)
	_, err = d.Queues.OpenQueue(t.Context(), long, driver.QueueOptions{}, nil)
	require.ErrorIs(t, err, driver.ErrKeyTooLong)
	_, err = d.Queues.OpenTransient(long, nil)
	require.ErrorIs(t, err, driver.ErrKeyTooLong)
	_, err = d.QueueAdmin.PurgeQueue(t.Context(), long)
	require.Error(t, err)
	d.Queues.Store(m, driver.StoreOptions{}, func(err error) { require.ErrorIs(t, err, driver.ErrKeyTooLong) })
	require.ErrorIs(t, d.Queues.StoreAll(t.Context(), []driver.StoreRequest{{Message: m}}), driver.ErrKeyTooLong)
	d.Requests.Request(m, func(_ *driver.Message, err error) { require.ErrorIs(t, err, driver.ErrKeyTooLong) })
	require.True(t, r.Ready())
	for _, prefix := range []string{strings.Repeat("p", 200), "a b", "a..b", "a.*", "."} {
		_, err = relay.Dial(relay.Options{URL: "nats://127.0.0.1:1", Prefix: prefix})
		require.ErrorContains(t, err, fmt.Sprintf("the prefix %.40q", prefix))
	}
}
