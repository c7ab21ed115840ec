package main

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// TestAProcessEndsWhenNATSRefusesItForGood stands between a node and NATS, and says what
// the client library takes for the end.
func TestAProcessEndsWhenNATSRefusesItForGood(t *testing.T) {
	t.Parallel()
	nats, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	nats.Start()
	defer func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	}()
	require.True(t, nats.ReadyForConnections(test.Patience))
	m := newMeddler(t, nats.Addr().String())
	p := serve(t, nil, "--dev", "--nats", "nats://"+m.listener.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	deadline := time.After(test.Patience)
	for {
		m.say("-ERR 'Not You'\r\n")
		select {
		case err := <-ended:
			require.Error(t, err)
			require.Contains(t, p.stderr.String(), "NATS ended the connection for good")
			require.Contains(t, p.stderr.String(), "nats: Not You")
			return
		case <-deadline:
			t.Fatal("the process goes on")
		case <-time.After(100 * time.Millisecond): // it drains meanwhile
		}
	}
}

// meddler hands on what NATS says, line by line, and says something itself.
type meddler struct {
	listener net.Listener
	mu       sync.Mutex // held while a line is written
	client   net.Conn
}

func newMeddler(t *testing.T, address string) *meddler {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m := &meddler{listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				return
			}
			m.mu.Lock()
			m.client = client
			m.mu.Unlock()
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { m.handOn(client, server); _ = client.Close() }()
		}
	}()
	return m
}

func (m *meddler) handOn(client, server net.Conn) {
	lines := bufio.NewReader(server)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		m.mu.Lock()
		_, err = client.Write(line)
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (m *meddler) say(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		_, _ = io.WriteString(m.client, text)
	}
}
