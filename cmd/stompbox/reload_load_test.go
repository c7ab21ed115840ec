package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestReloadUnderLoadLosesAndRepeatsNothing: a thousand clients get each message of a topic
// once and in order, and those of a queue once, while the configuration is reloaded twenty
// times, each time to another one.
func TestReloadUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Parallel()
	const clients, consumers, reloads = 1000, 20, 20
	cheap, err := bcrypt.GenerateFromPassword([]byte("a passcode under load"), bcrypt.MinCost)
	require.NoError(t, err)
	hash := string(cheap)
	text := func(turn int) string {
		subscribe := `["/topic/load", "/queue/load"]`
		if turn%2 == 0 {
			subscribe = `["/topic/**", "/queue/**"]`
		}
		return fmt.Sprintf(`
auth:
  jwt: { secret: "a secret of this test %032d" }
  logins: [ { login: client, passcode_hash: '%s', role: client }, { login: sender, passcode_hash: '%s', permissions: { send: ["/**"], subscribe: ["/**"] } } ]
  roles: { client: { subscribe: %s } }
limits: { subscriptions: %d, headers: %d, user_connections: 0 }
queues: { max_deliveries: %d }
http: { allowed_origins: ["https://%d.example"] }
`, turn, hash, hash, subscribe, 10+turn, 30+turn, 5+turn%3, turn)
	}
	r := serveReloadable(t, text(0))
	all := make([]*test.Client, clients)
	for i := range all {
		all[i] = test.DialAddress(t, r.tcp).Connect("login", "client", "passcode", "a passcode under load")
		all[i].Subscribe("t", "/topic/load")
		if i < consumers {
			all[i].Subscribe("q", "/queue/load", "ack", "client-individual", "prefetch-count", "3")
		}
	}
	sender := test.DialAddress(t, r.tcp).Connect("login", "sender", "passcode", "a passcode under load")

	type outcome struct {
		queued []string
		err    error
	}
	outcomes := make(chan outcome, clients)
	for _, c := range all {
		go func() {
			var o outcome
			o.queued, o.err = readUnderLoad(c)
			outcomes <- o
		}()
	}
	stop, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				sender.Send(frames.SEND, "destination", "/topic/load", "end "+strconv.Itoa(n))
				sent <- n
				return
			default:
			}
			id := strconv.Itoa(n)
			sender.Send(frames.SEND, "destination", "/topic/load", "receipt", "t"+id, id)
			sender.Receipt("t" + id)
			sender.Send(frames.SEND, "destination", "/queue/load", "receipt", "q"+id, id)
			sender.Receipt("q" + id)
		}
	}()
	for turn := 1; turn <= reloads; turn++ {
		if turn%2 == 0 {
			r.hangUp(text(turn), "the configuration was reloaded")
			continue
		}
		require.NoError(t, os.WriteFile(r.file, []byte("limits: nothing\n"), 0o600))
		require.NoError(t, r.cmd.Process.Signal(syscall.SIGHUP)) // which changes nothing
		r.hangUp(text(turn), "the configuration was reloaded")
	}
	close(stop)
	total := <-sent
	queued := make(map[string]int)
	for range clients {
		o := <-outcomes
		require.NoError(t, o.err)
		for _, id := range o.queued {
			queued[id]++
		}
	}
	t.Logf("%d messages, each to %d clients", total, clients)
	for _, c := range all {
		c.Close() // what it had not acknowledged goes to the one that comes now
	}
	last := test.DialAddress(t, r.tcp).Connect("login", "sender", "passcode", "a passcode under load")
	last.Subscribe("q", "/queue/load")
	for len(queued) < total {
		queued[string(last.Expect(frames.MESSAGE).Body)]++
	}
	last.Quiet()
	require.Len(t, queued, total)
	for id, n := range queued {
		require.Equal(t, 1, n, "message %s of the queue", id)
	}
	require.NotContains(t, r.stderr.String(), "session ended by an error")
	r.stop(t)
}

// readUnderLoad reads the topic until its end, and returns what it got of the queue and
// acknowledged.
func readUnderLoad(c *test.Client) (queued []string, err error) {
	for want := 0; ; {
		f, err := c.Next()
		if err != nil {
			return queued, fmt.Errorf("after message %d: %w", want, err)
		}
		body := string(f.Body)
		switch {
		case f.Command != frames.MESSAGE:
			return queued, fmt.Errorf("after message %d: %s %s", want, f.Command, body)
		case f.Get("subscription") == "q":
			queued = append(queued, body)
			c.Send(frames.ACK, "id", f.Get("ack"))
		case body == "end "+strconv.Itoa(want):
			return queued, awaitAcks(c)
		case body != strconv.Itoa(want):
			return queued, fmt.Errorf("message %s came in place of %d", body, want)
		default:
			want++
		}
	}
}

// awaitAcks returns when the broker has read the ACKs. Messages that still come are not
// acknowledged.
func awaitAcks(c *test.Client) error {
	c.Send(frames.UNSUBSCRIBE, "id", "q", "receipt", "read")
	for {
		f, err := c.Next()
		if err != nil || f.Command == frames.RECEIPT {
			return err
		}
	}
}
