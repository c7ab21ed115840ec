package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// example builds an example and runs it until the test ends; it is ready when it says
// what it serves.
func example(t *testing.T, name string, args ...string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	said, err := exec.Command("go", "build", "-o", binary, "../../examples/"+name).CombinedOutput()
	require.NoError(t, err, "%s", said)
	cmd := exec.Command(binary, args...)
	cmd.Dir = t.TempDir()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := bufio.NewReader(out)
	for line := ""; !strings.HasPrefix(line, "serving /app/"); { // after what its broker may log
		line, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
}

// listenTo subscribes to a destination, and returns what waits for the next body.
func listenTo(t *testing.T, address, destination string) func() string {
	t.Helper()
	c := test.Dial(t, &test.Node{WebSocket: "ws://" + address + "/ws"}).Connect()
	c.Subscribe("l", destination)
	return func() string { return string(c.Expect(frames.MESSAGE).Body) }
}

// TestTheExamplesInGoAnswer: those in other languages are tested with their clients.
func TestTheExamplesInGoAnswer(t *testing.T) {
	t.Parallel()
	addresses := make([]string, 3)
	for i := range addresses {
		addresses[i] = test.Address(t)
	}
	natsAt, hookAt, embeddedAt := addresses[0], addresses[1], addresses[2]
	config := filepath.Join(t.TempDir(), "stompbox.yaml")
	text, err := os.ReadFile("../../examples/stompbox.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(string(text), "127.0.0.1:8091", hookAt)), 0o600))
	p := serve(t, []string{"STOMPBOX_NATS_LISTEN=" + natsAt}, "--dev", "-c", config)
	example(t, "nats", "-url", "nats://"+natsAt)
	example(t, "webhook", "-listen", hookAt)
	example(t, "embedded", "-listen", embeddedAt)
	for kind, at := range map[string]string{"nats": p.http, "webhook": p.http, "go": embeddedAt} {
		lobby := listenTo(t, at, "/topic/chat.lobby")
		answer, said, err := run(t, nil, "ask", "--url", "ws://"+at+"/ws", "/app/"+kind+".hello", "how are you?")
		require.NoError(t, err, "%s: %s", kind, said)
		require.Equal(t, "hello guest\n", answer)
		require.Equal(t, "guest asks: how are you?", lobby())
	}
	_, said, err := run(t, nil, "ask", "--url", "ws://"+embeddedAt+"/ws", "/app/nobody", "x")
	require.Error(t, err)
	require.Contains(t, said, "no-app-server: no app server serves /app/nobody")
}
