package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestSubscribeTakesOfAQueueWhatItPrints: what it did not print stays in the queue, in
// order and as if it had never been delivered.
func TestSubscribeTakesOfAQueueWhatItPrints(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--dev")
	url := "ws://" + p.http + "/ws"
	c := test.DialAddress(t, p.tcp).Connect()
	for i := range 5 {
		c.Send(frames.SEND, "destination", "/queue/printed", "receipt", "r", strconv.Itoa(i))
		c.Receipt("r")
	}
	for _, name := range []string{"subscribe", "listen"} {
		out, stderr, err := run(t, nil, name, "--url", url, "-n", "1", "/queue/printed")
		require.NoError(t, err, stderr)
		require.Equal(t, 1, strings.Count(out, "\n"), out)
	}
	_, stderr, err := run(t, nil, "subscribe", "--url", url, "-H", "ack:never", "/queue/printed")
	require.Error(t, err)
	require.Contains(t, stderr, "use auto, client or client-individual")
	_, stderr, err = run(t, nil, "subscribe", "--url", url, "-H", "ack:auto", "-n", "1", "/queue/printed")
	require.Error(t, err, "it would take what it does not print")
	require.Contains(t, stderr, "leave ack out")
	requireLeft(t, url, "/queue/printed", "2", "3", "4")

	for i, ack := range []string{"client", "client-individual"} {
		out, stderr, err := run(t, nil, "subscribe", "--url", url, "-H", "ack:"+ack, "-H", "prefetch-count:3", "-n", "1", "/queue/printed")
		require.NoError(t, err, stderr)
		require.Contains(t, out, "  guest  "+strconv.Itoa(2+i)+"\n")
	}
	requireLeft(t, url, "/queue/printed", "4")
	c.Subscribe("q", "/queue/printed")
	require.Equal(t, "true", c.Message("4").Get("redelivered"), "the last ones took it too, as they had asked for")
	p.stop(t)
}

// requireLeft wants these messages to stay in a queue. The store removes a moment later
// what was acknowledged without a receipt.
func requireLeft(t *testing.T, url, queue string, want ...string) {
	t.Helper()
	var left []string
	require.Eventually(t, func() bool {
		out, stderr, err := run(t, nil, "queue", "peek", "--url", url, queue)
		require.NoError(t, err, stderr)
		left = nil
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			left = append(left, fields[len(fields)-1])
		}
		return len(left) <= len(want)
	}, test.Patience, 10*time.Millisecond)
	require.Equal(t, want, left)
}

// TestSubscribeTakesOfADurableSubscriptionWhatItPrints, as of a queue.
func TestSubscribeTakesOfADurableSubscriptionWhatItPrints(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(config, []byte("dev: true\nhistory: { policies: [ { name: kept, match: /topic/kept.**, max_messages: 100 } ] }\n"), 0o600))
	p := serve(t, nil, "-c", config)
	durable := []string{"subscribe", "--url", "ws://" + p.http + "/ws", "-H", "durable:true", "-H", "auto-delete:false", "-H", "id:reader", "-n", "1", "/topic/kept.a"}
	c := test.DialAddress(t, p.tcp).Connect()
	c.Subscribe("reader", "/topic/kept.a", "durable", "true", "auto-delete", "false", "ack", "client")
	c.Send(frames.UNSUBSCRIBE, "id", "reader", "receipt", "kept")
	c.Receipt("kept")
	for i := range 5 {
		c.Send(frames.SEND, "destination", "/topic/kept.a", "receipt", "r", strconv.Itoa(i))
		c.Receipt("r")
	}
	for i := range 3 {
		out, stderr, err := run(t, nil, durable...)
		require.NoError(t, err, stderr)
		require.Contains(t, out, "  guest  "+strconv.Itoa(i)+"\n")
	}
	p.stop(t)
}

// TestSecretsOfClientsComeFromFilesAndVariables, where ps does not show them.
func TestSecretsOfClientsComeFromFilesAndVariables(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--dev")
	url := "ws://" + p.http + "/ws"
	token, _, err := run(t, nil, "token", "--dev", "--user", "ann", "--send", "/topic/**")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
	_, stderr, err := run(t, nil, "send", "--url", url, "--token-file", file, "/topic/a", "x")
	require.NoError(t, err, stderr)
	_, stderr, err = run(t, nil, "send", "--url", url, "--token-file", file, "/queue/a", "x")
	require.Error(t, err, "it is the token that counts")
	require.Contains(t, stderr, "send permission")
	_, stderr, err = run(t, []string{"STOMPBOX_TOKEN=" + strings.TrimSpace(token)}, "send", "--url", url, "/topic/a", "x")
	require.NoError(t, err, stderr)
	_, _, err = run(t, []string{"STOMPBOX_PASSCODE=wrong"}, "send", "--url", url, "/topic/a", "x")
	require.Error(t, err)
	_, stderr, err = run(t, nil, "send", "--url", url, "--token-file", file+".missing", "/topic/a", "x")
	require.Error(t, err)
	require.Contains(t, stderr, "--token-file")

	_, stderr, err = run(t, []string{"STOMPBOX_TOKEN=x", "STOMPBOX_HTTP=http://127.0.0.1:1"}, "token", "--dev", "--user", "ann")
	require.NoError(t, err, "variables of clients are no keys of the configuration: %s", stderr)
	p.stop(t)
}
