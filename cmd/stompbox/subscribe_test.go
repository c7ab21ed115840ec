package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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

	out, _, err := run(t, nil, "queue", "show", "--url", url, "/queue/printed")
	require.NoError(t, err)
	require.Contains(t, out, "messages     3\n", out)
	c.Subscribe("q", "/queue/printed")
	for i := 2; i < 5; i++ {
		c.Message(strconv.Itoa(i))
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
