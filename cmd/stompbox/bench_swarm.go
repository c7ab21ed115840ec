package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// swarm is many connections in a process of its own, since a process may have only so
// many descriptors. It obeys lines of its standard input, and answers each with one.
type swarm struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// The orders to a swarm.
const (
	orderConnect = "connect" // connects and subscribes all; again after they were cut
	orderCut     = "cut"     // resets all connections
	orderReceive = "receive" // and a number of the first message, which all have to get
)

// startSwarm starts a process for n connections to a server.
func (s *benchServer) startSwarm(ctx context.Context, n int) (*swarm, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &swarm{cmd: exec.CommandContext(ctx, self, "bench", "swarm", "--address", s.address, "--connections", strconv.Itoa(n))}
	w.cmd.Env, w.cmd.Stderr, w.cmd.SysProcAttr = append(os.Environ(), "STOMPBOX_BENCH_TOKEN="+s.token), os.Stderr, benchProcess()
	if w.orders, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.answers = bufio.NewReader(out)
	return w, w.cmd.Start()
}

// order gives an order to all swarms.
func order(all []*swarm, text string) error {
	for _, w := range all {
		if _, err := fmt.Fprintln(w.orders, text); err != nil {
			return err
		}
	}
	return nil
}

// obeyed returns when all swarms have answered an order.
func obeyed(all []*swarm) error {
	for _, w := range all {
		line, err := w.answers.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the clients ended: %w", err)
		}
		if line != "done\n" {
			return fmt.Errorf("the clients say %s", strings.TrimSpace(line))
		}
	}
	return nil
}

func stopSwarms(all []*swarm) {
	for _, w := range all {
		_ = w.orders.Close()
		_ = w.cmd.Wait()
	}
}

func newBenchSwarm() *cobra.Command {
	m := swarmClients{server: &benchServer{token: os.Getenv("STOMPBOX_BENCH_TOKEN")}}
	cmd := &cobra.Command{Use: "swarm", Short: "The clients of `bench connections`", Args: cobra.NoArgs, Hidden: true}
	cmd.Flags().StringVar(&m.server.address, "address", "", "the server's")
	cmd.Flags().IntVar(&m.n, "connections", 0, "how many to open")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		lines := bufio.NewScanner(cmd.InOrStdin())
		for lines.Scan() {
			answer := "done"
			if err := m.obey(cmd.Context(), lines.Text()); err != nil {
				answer = err.Error()
			}
			fmt.Fprintln(cmd.OutOrStdout(), answer)
		}
		m.cut()
		return lines.Err()
	}
	return cmd
}

// swarmClients are the connections of a swarm.
type swarmClients struct {
	server  *benchServer
	n       int
	mu      sync.Mutex
	clients []*benchClient
	readers sync.WaitGroup
	stop    chan struct{}

	arrived atomic.Int64 // of the message that is awaited
	failed  chan error
}

func (m *swarmClients) obey(ctx context.Context, text string) (err error) {
	what, number, _ := strings.Cut(text, " ")
	switch what {
	case orderConnect:
		first, _ := strconv.Atoi(number)
		return m.connect(ctx, first)
	case orderCut:
		m.cut()
		return nil
	case orderReceive:
		return m.await(ctx)
	}
	return fmt.Errorf("there is no order %q", text)
}

// connect opens all connections.
func (m *swarmClients) connect(ctx context.Context, first int) error {
	m.arrived.Store(0)
	m.failed, m.stop = make(chan error, m.n), make(chan struct{})
	m.server.opened = func(c *benchClient) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.clients = append(m.clients, c)
		m.readers.Go(func() { m.read(c, first) })
	}
	_, err := m.server.subscribers(ctx, m.n)
	return err
}

// read counts messages, which have to come in order from the first on.
func (m *swarmClients) read(c *benchClient, first int) {
	for i := first; ; i++ {
		err := c.readNumber(i)
		select {
		case <-m.stop:
			return
		default:
		}
		if err != nil {
			m.failed <- err
			return
		}
		m.arrived.Add(1)
	}
}

// await returns when all connections have one message more.
func (m *swarmClients) await(ctx context.Context) error {
	deadline := time.After(time.Minute)
	for m.arrived.Load() < int64(m.n) {
		select {
		case err := <-m.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%d of %d connections have the message after a minute", m.arrived.Load(), m.n)
		case <-time.After(200 * time.Microsecond):
		}
	}
	m.arrived.Add(-int64(m.n))
	return nil
}

// cut resets all connections, as the end of a network does.
func (m *swarmClients) cut() {
	if m.stop == nil {
		return
	}
	close(m.stop)
	for _, c := range m.clients {
		if tcp, ok := c.ws.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.close()
	}
	m.readers.Wait()
	m.clients, m.stop = nil, nil
}
