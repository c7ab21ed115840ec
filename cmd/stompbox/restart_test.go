package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestARestartGivesBackFirstWhatWasHeld, marked, to consumers of queues and durable
// subscriptions, and not after queues.ack_wait.
func TestARestartGivesBackFirstWhatWasHeld(t *testing.T) {
	file := filepath.Join(t.TempDir(), "held.yaml")
	require.NoError(t, os.WriteFile(file, []byte("queues: { ack_wait: 10m }\nhistory: { policies: [{ name: kept, match: /topic/kept }] }\n"), 0o600))
	data := t.TempDir()
	consume := func(p *process, destination string) *test.Client {
		c := test.DialAddress(t, p.tcp).Connect()
		c.Subscribe("s", destination, "ack", "client-individual", "durable", strconv.FormatBool(destination == "/topic/kept"), "auto-delete", "false")
		return c
	}
	send := func(p *process, destination string, bodies ...string) {
		c := test.DialAddress(t, p.tcp).Connect()
		for _, body := range bodies {
			c.Send(frames.SEND, "destination", destination, "receipt", body, body)
			c.Receipt(body)
		}
		c.Close()
	}
	destinations := []string{"/queue/kept", "/topic/kept"}
	p := serve(t, nil, "--dev", "--data-dir", data, "-c", file)
	for _, destination := range destinations {
		c := consume(p, destination)
		send(p, destination, "0", "1", "2", "3")
		var acks []string
		for i := range 4 {
			acks = append(acks, c.Message(strconv.Itoa(i)).Get("ack"))
		}
		c.Send(frames.ACK, "id", acks[1], "receipt", "acknowledged")
		c.Receipt("acknowledged")
	}
	p.stop(t)

	p = serve(t, nil, "--dev", "--data-dir", data, "-c", file)
	for _, destination := range destinations {
		send(p, destination, "young")
		c := consume(p, destination)
		for _, body := range []string{"0", "2", "3"} {
			require.Equal(t, "true", c.Message(body).Get("redelivered"))
		}
		require.Empty(t, c.Message("young").Get("redelivered"))
	}
	p.stop(t)
}
