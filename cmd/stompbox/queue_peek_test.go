package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestQueuePeekPrintsAndLeavesMessages: as many as it is to, over several requests.
func TestQueuePeekPrintsAndLeavesMessages(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--dev")
	url := "ws://" + p.http + "/ws"
	c := test.DialAddress(t, p.tcp).Connect()
	for _, body := range numberedBodies(205) {
		c.Send(frames.SEND, "destination", "/queue/peeked", "receipt", "r", body)
		c.Receipt("r")
	}
	for count, want := range map[string]int{"": 10, "1": 1, "101": 101, "0": 205, "300": 205} {
		args := []string{"queue", "peek", "--url", url, "/queue/peeked"}
		if count != "" {
			args = append(args, "-n", count)
		}
		out, stderr, err := run(t, nil, args...)
		require.NoError(t, err, stderr)
		require.Equal(t, want, strings.Count(out, "\n"), "-n %s", count)
		require.Contains(t, out, "  guest  m0\n")
	}
	out, stderr, err := run(t, nil, "queue", "peek", "--url", url, "--json", "-n", "1", "/queue/peeked")
	require.NoError(t, err, stderr)
	require.Contains(t, out, `"body":"m0"`)
	_, _, err = run(t, nil, "queue", "peek", "--url", url, "-n", "-1", "/queue/peeked")
	require.Error(t, err)
	_, stderr, err = run(t, nil, "queue", "peek", "--url", url, "/queue/none")
	require.Error(t, err)
	require.Contains(t, stderr, "neither messages nor consumers")

	c.Subscribe("q", "/queue/peeked")
	require.Equal(t, "1", c.Message("m0").Get("delivery-count"))
	p.stop(t)
}

func numberedBodies(n int) (all []string) {
	for i := range n {
		all = append(all, "m"+strconv.Itoa(i))
	}
	return all
}
