package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// kill ends a process as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
}

// TestKilledBrokerLosesNothingConfirmed kills the broker in the middle of a
// pipelined load of 100,000 messages, with a consumer at work, and restarts it.
func TestKilledBrokerLosesNothingConfirmed(t *testing.T) {
	const messages, window = 100_000, 256
	data := t.TempDir()
	p := serve(t, nil, "--dev", "--data-dir", data)

	var mu sync.Mutex
	confirmed, acked := make(map[string]bool), make(map[string]bool) // RECEIPTs of SENDs, and of ACKs
	count := func(m map[string]bool) int { mu.Lock(); defer mu.Unlock(); return len(m) }

	consumer := test.DialAddress(t, p.tcp).Connect()
	consumer.Subscribe("q", "/queue/load", "ack", "client-individual", "prefetch-count", "100")
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; ; {
			f, err := consumer.Next()
			switch {
			case err != nil:
				return
			case f.Command == frames.RECEIPT:
				mu.Lock()
				acked[f.Get("receipt-id")] = true
				mu.Unlock()
			case f.Command == frames.MESSAGE:
				if n++; n%3 == 0 {
					continue // some are never acknowledged
				}
				ack := frames.New(frames.ACK, "id", f.Get("ack"), "receipt", string(f.Body))
				if _, err := consumer.TryRaw(frames.Append(nil, ack, frames.V12)); err != nil {
					return
				}
			}
			if n >= 90 {
				n = 0
			}
		}
	})
	sender := test.DialAddress(t, p.tcp).Connect()
	room := make(chan struct{}, window)
	gone := make(chan struct{})
	wait.Go(func() {
		defer close(gone)
		for next := 0; ; next++ {
			f, err := sender.Next()
			if err != nil {
				return
			}
			if f.Get("receipt-id") != strconv.Itoa(next) {
				t.Errorf("receipt %q in place of %d", f.Get("receipt-id"), next)
				return
			}
			mu.Lock()
			confirmed[f.Get("receipt-id")] = true
			mu.Unlock()
			<-room
		}
	})
	wait.Go(func() {
		for i := range messages {
			select {
			case room <- struct{}{}:
			case <-gone:
				return
			}
			id := strconv.Itoa(i)
			f := frames.New(frames.SEND, "destination", "/queue/load", "receipt", id)
			f.Body = []byte(id)
			if _, err := sender.TryRaw(frames.Append(nil, f, frames.V12)); err != nil {
				return
			}
		}
	})
	require.Eventually(t, func() bool { return count(confirmed) > messages/4 && count(acked) > 50 }, 3*test.Patience, time.Millisecond)
	p.kill(t)
	wait.Wait()
	require.Less(t, count(confirmed), messages, "the broker was killed in the middle")

	again := serve(t, nil, "--dev", "--data-dir", data)
	rest := test.DialAddress(t, again.tcp).Connect()
	rest.Subscribe("q", "/queue/load", "ack", "client-individual")
	missing := 0
	for id := range confirmed {
		if !acked[id] {
			missing++
		}
	}
	t.Logf("confirmed %d, acknowledged %d, expected again %d", len(confirmed), len(acked), missing)
	seen := make(map[string]bool)
	for missing > 0 {
		f := rest.Expect(frames.MESSAGE)
		id := string(f.Body)
		if acked[id] {
			require.Equal(t, "true", f.Get("redelivered"), "%s was acknowledged and confirmed, and comes as new", id)
		}
		require.False(t, seen[id], "%s came twice", id)
		if seen[id] = true; confirmed[id] && !acked[id] {
			missing--
		}
		rest.Send(frames.ACK, "id", f.Get("ack"))
	}
	again.stop(t)
}

// holdMessages is a process that takes 500 messages and acknowledges none.
func holdMessages(address string) {
	c, err := stomp.Dial("tcp", address, stomp.ConnOpt.Login("guest", "guest"))
	if err != nil {
		panic(err)
	}
	sub, err := c.Subscribe("/queue/held", stomp.AckClientIndividual, stomp.SubscribeOpt.Header("prefetch-count", "500"))
	if err != nil {
		panic(err)
	}
	for range 500 {
		fmt.Println(string((<-sub.C).Body))
	}
	select {}
}

func TestKilledConsumersMessagesGoToOthers(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--dev")
	c := test.DialAddress(t, p.tcp).Connect()
	for i := range 600 {
		c.Send(frames.SEND, "destination", "/queue/held", "receipt", "r", strconv.Itoa(i))
		c.Receipt("r")
	}
	holder := command(t, []string{"TEST_AS_HOLDER=" + p.tcp})
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	held := make(map[string]bool)
	for len(held) < 500 {
		var id string
		_, err := fmt.Fscanln(out, &id)
		require.NoError(t, err)
		held[id] = true
	}
	others := []*test.Client{test.DialAddress(t, p.tcp).Connect(), test.DialAddress(t, p.tcp).Connect()}
	fresh := make(chan *frames.Frame, 1000)
	for _, o := range others {
		o.Send(frames.SUBSCRIBE, "id", "q", "destination", "/queue/held", "ack", "client-individual")
		go func() {
			for {
				f, err := o.Next()
				if err != nil {
					return
				}
				fresh <- f
			}
		}()
	}
	for range 100 {
		f := <-fresh
		require.False(t, held[string(f.Body)])
		require.Empty(t, f.Get("redelivered"))
	}
	require.NoError(t, holder.Process.Signal(syscall.SIGKILL))
	_ = holder.Wait()
	for range 500 {
		f := <-fresh
		require.True(t, held[string(f.Body)], "exactly those that were held, each once")
		delete(held, string(f.Body))
		require.Equal(t, "true", f.Get("redelivered"))
	}
	p.stop(t)
}

// TestFullStoreRefusesAndLives: what does not fit gets an ERROR; all else goes on.
func TestFullStoreRefusesAndLives(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"STOMPBOX_DATA_MAX_BYTES=1MB"}, "--dev")
	c := test.DialAddress(t, p.tcp).Connect()
	body := strings.Repeat("x", 100_000)
	stored := 0
	for refused := false; !refused; {
		require.Less(t, stored, 11)
		c.Send(frames.SEND, "destination", "/queue/full", "receipt", "r", body)
		f, err := c.Next()
		require.NoError(t, err)
		if refused = f.Command == frames.ERROR; refused {
			require.Contains(t, f.Get("message"), "the queue is full")
			require.Equal(t, "r", f.Get("receipt-id"))
			break
		}
		stored++
	}
	after := test.DialAddress(t, p.tcp).Connect()
	after.Subscribe("t", "/topic/a")
	after.Send(frames.SEND, "destination", "/topic/a", "still here")
	after.Message("still here")
	out, _, err := run(t, nil, "queue", "purge", "--yes", "/queue/full", "--url", "http://"+p.http)
	require.NoError(t, err)
	require.Contains(t, out, fmt.Sprintf("purged %d messages", stored))
	after.Send(frames.SEND, "destination", "/queue/full", "receipt", "again", body)
	after.Receipt("again")
	p.stop(t)
}

func TestQueueCommands(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"STOMPBOX_QUEUES_MAX_DELIVERIES=1"}, "--dev")
	at := "http://" + p.http
	c := test.DialAddress(t, p.tcp).Connect()
	const letters = 1200
	for i := range letters {
		c.Send(frames.SEND, "destination", "/queue/jobs", "receipt", "r", strconv.Itoa(i))
		c.Receipt("r")
	}
	c.Subscribe("q", "/queue/jobs", "ack", "client-individual")
	for i := range letters {
		f := c.Message(strconv.Itoa(i))
		c.Send(frames.NACK, "id", f.Get("ack"))
	}
	c.Close()
	require.Eventually(t, func() bool {
		out, _, err := run(t, nil, "queue", "show", "/queue/DLQ.jobs", "--url", at)
		return err == nil && strings.Contains(out, "messages     1200")
	}, test.Patience, 100*time.Millisecond)
	out, progress, err := run(t, nil, "queue", "move", "/queue/DLQ.jobs", "--url", at)
	require.NoError(t, err, progress)
	require.Contains(t, out, "moved 1200 of 1200 messages")
	require.Contains(t, progress, "1200 of 1200")
	out, _, err = run(t, nil, "queue", "list", "--json", "--url", at)
	require.NoError(t, err)
	require.Contains(t, out, `"name":"/queue/jobs","messages":1200`)
	require.NotContains(t, out, "DLQ")

	_, stderr, err := run(t, nil, "queue", "purge", "/queue/jobs", "--url", at)
	require.Error(t, err)
	require.Contains(t, stderr, "--yes")
	_, stderr, err = run(t, nil, "queue", "move", "/queue/jobs", "--url", at)
	require.Error(t, err, "they are no dead letters")
	require.Contains(t, stderr, "use --to")
	_, _, err = run(t, nil, "queue", "move", "/queue/jobs", "-n", "10", "--to", "/queue/other", "--url", at)
	require.NoError(t, err)
	d := test.DialAddress(t, p.tcp).Connect()
	d.Subscribe("o", "/queue/other")
	for range 10 {
		f := d.Expect(frames.MESSAGE)
		require.Equal(t, "/queue/other", f.Get("destination"))
		require.Empty(t, f.Get("dead-letter-origin"))
	}

	limited, _, err := run(t, nil, "token", "--dev", "--user", "eve", "--subscribe", "/queue/eve", "--send", "/queue/eve")
	require.NoError(t, err)
	token := strings.TrimSpace(limited)
	out, _, err = run(t, nil, "queue", "list", "--json", "--url", at, "--token", token)
	require.NoError(t, err)
	require.Equal(t, "[]\n", out, "one sees what one may consume")
	for path, want := range map[string]int{
		"purge?destination=/queue/jobs":              http.StatusForbidden,
		"move?destination=/queue/eve&to=/queue/jobs": http.StatusForbidden,
		"purge?destination=/topic/a":                 http.StatusBadRequest,
		"purge?destination=/queue/*":                 http.StatusBadRequest,
		"move?destination=/queue/eve&limit=0":        http.StatusBadRequest,
		"purge?destination=/queue/eve":               http.StatusNotFound,
		"move?destination=/queue/eve&to=/queue/eve":  http.StatusBadRequest,
	} {
		require.Equal(t, want, post(t, at+"/api/queues/"+path, "Bearer "+token), path)
	}
	require.Equal(t, http.StatusUnauthorized, post(t, at+"/api/queues/purge?destination=/queue/jobs", "Bearer x"))
	require.Equal(t, http.StatusUnauthorized, post(t, at+"/api/queues/purge?destination=/queue/jobs", ""))
	_, metrics := get(t, at+"/metrics")
	require.Contains(t, metrics, "stompbox_queue_messages_dead_total 1200")
	p.stop(t)
}

func post(t *testing.T, url, authorization string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, nil)
	require.NoError(t, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
	return answer.StatusCode
}
