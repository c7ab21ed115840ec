package broker_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// share is what one sender alone may have waiting: about half of 10,000.
const share = 5001

// TestOneUserDoesNotTakeAllOfAnAppServer: what waits for one that is slow leaves room for
// the requests of others.
func TestOneUserDoesNotTakeAllOfAnAppServer(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			server := test.Dial(t, nodes[0]).Connect()
			server.Subscribe("app", "/app/work", "ack", "client-individual", "prefetch-count", "1")
			mallory, alice := test.Caller(t, nodes[0], "mallory"), test.Caller(t, nodes[1], "alice")
			mallory.Subscribe("e", "/user/queue/errors")
			alice.Subscribe("e", "/user/queue/errors")
			mallory.Send(frames.SEND, "destination", "/app/work", "receipt", "r", "0")
			mallory.Receipt("r")
			held := server.Message("0")
			for i := range share + 2 {
				mallory.Send(frames.SEND, "destination", "/app/work", "correlation-id", strconv.Itoa(i+1), strconv.Itoa(i+1))
			}
			for i := range 2 {
				f := mallory.Message("as many of your requests wait for the app servers of /app/work as they keep of one user; try again once some are answered")
				require.Equal(t, "app-busy", f.Get("code"))
				require.Equal(t, strconv.Itoa(share+1+i), f.Get("correlation-id"))
			}
			require.EqualValues(t, 2, nodes[0].Broker.Stats().Limited["user_waiting_messages"])
			alice.Send(frames.SEND, "destination", "/app/work", "receipt", "r", "alice's")
			alice.Receipt("r")
			alice.Quiet()

			// What is taken makes room; hers takes some of it.
			server.Send(frames.ACK, "id", held.Get("ack"))
			server.Send(frames.ACK, "id", server.Message("1").Get("ack"))
			server.Message("2")
			mallory.Send(frames.SEND, "destination", "/app/work", "receipt", "r2", "one more")
			mallory.Receipt("r2")
			mallory.Quiet()
			mallory.Send(frames.SEND, "destination", "/app/work", "one too many")
			require.Equal(t, "app-busy", mallory.Expect(frames.MESSAGE).Get("code"))
		})
	}
}

// TestOneUserDoesNotTakeAllOfATransientQueue: nor of a queue that another reads slowly.
func TestOneUserDoesNotTakeAllOfATransientQueue(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{NATSPort: -1})
	const queue = "/queue/updates-user8f14e45f-ceea-467f-a0e6-123456789abc"
	reader := test.Dial(t, n).Connect()
	reader.Subscribe("s", queue, "ack", "client-individual", "prefetch-count", "1")
	sender := func(user string) *test.Client {
		return test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{Send: []string{"/queue/**"}}))
	}
	mallory, alice := sender("mallory"), sender("alice")
	mallory.Send(frames.SEND, "destination", queue, "receipt", "r", "0")
	mallory.Receipt("r")
	reader.Message("0")
	for i := range share {
		mallory.Send(frames.SEND, "destination", queue, strconv.Itoa(i+1))
	}
	mallory.Send(frames.SEND, "destination", queue, "one too many")
	f := mallory.Error("as many of your messages wait in it as it keeps of one sender")
	require.Equal(t, "queue-full", f.Get("code"))
	require.EqualValues(t, 1, n.Broker.Stats().Limited["user_waiting_messages"])
	alice.Send(frames.SEND, "destination", queue, "receipt", "r", "alice's")
	alice.Receipt("r")
}
