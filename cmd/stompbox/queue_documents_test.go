package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestTheCommandsOfDeadLettersRunAsWritten takes them from the documentation.
func TestTheCommandsOfDeadLettersRunAsWritten(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/queues.md")
	require.NoError(t, err)
	var lines []string
	for _, part := range strings.Split(string(text), "<!-- test: "+t.Name()+" -->\n```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
	}
	require.Len(t, lines, 3)

	p := serve(t, []string{"STOMPBOX_QUEUES_MAX_DELIVERIES=1"}, "--dev")
	consumer := test.DialAddress(t, p.tcp).Connect()
	consumer.Send(frames.SEND, "destination", "/queue/orders", "receipt", "stored", "order 1")
	consumer.Receipt("stored")
	consumer.Subscribe("q", "/queue/orders", "ack", "client-individual")
	consumer.Send(frames.NACK, "id", consumer.Message("order 1").Get("ack"))
	require.Eventually(t, func() bool {
		out, _, err := run(t, nil, "queue", "list", "--url", "http://"+p.http)
		return err == nil && strings.Contains(out, "/queue/DLQ.orders")
	}, test.Patience, 50*time.Millisecond)

	for i, wanted := range []string{"/queue/DLQ.orders", `"dead-letter-origin"`, "moved 1 of 1"} {
		words := strings.Fields(lines[i])
		require.Equal(t, "stompbox", words[0])
		out, stderr, err := run(t, nil, append(words[1:], "--url", "http://"+p.http)...)
		require.NoError(t, err, "%s: %s", lines[i], stderr)
		require.Contains(t, out, wanted, lines[i])
	}
	require.Equal(t, "order 1", string(consumer.Message("order 1").Body))
	consumer.Close()
	p.stop(t)
}
