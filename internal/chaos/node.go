package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stompbox/stompbox/internal/test/local"
)

const nodeCount = 3

// secret signs the tokens of the clients.
const secret = "a secret of a chaos run, with more than 32 bytes"

const configuration = `
cluster: { name: chaos, peers: [%s], user: route, password: a password of a chaos run }
auth: { jwt: { secret: %q } }
queues:
  replicas: 3
  ack_wait: 5s
  max_deliveries: %d
  policies:
    - { match: "/queue/bounded.*", max_messages: 1000000 }
history:
  replicas: 3
  policies:
    - { name: kept, match: "/topic/kept.**", max_age: 3h }
    - { name: short, match: "/topic/short.*", max_messages: 20, max_age: 3h }
    - { name: notes, match: "/user/*/queue/notes", max_age: 3h }
app: { timeout: %s }
drain: { window: 1s, timeout: 3s }
heartbeat: { send: 2s }
`

// cluster is three nodes, each a process.
type cluster struct {
	binary, dir string
	routes      *routes
	nodes       [nodeCount]*node
}

// node is one of them, over all of its processes.
type node struct {
	index       int
	http, stomp string
	port        string // of routes
	// metrics and nats are where a soak reads them, and empty else.
	metrics, nats string

	mu      sync.Mutex // guards the following
	process *exec.Cmd
	exited  chan struct{} // closed once the process has
	exit    error
}

func startCluster(binary, dir string, soak bool) (*cluster, error) {
	c := &cluster{binary: binary, dir: dir}
	var ports, peers []string
	for i := range nodeCount {
		n := &node{index: i}
		for _, address := range []*string{&n.http, &n.stomp, &n.port} {
			var err error
			if *address, err = local.Address(); err != nil {
				return nil, err
			}
		}
		_, n.port, _ = net.SplitHostPort(n.port)
		c.nodes[i] = n
		ports, peers = append(ports, n.port), append(peers, `"`+net.JoinHostPort(routeHost, n.port)+`"`)
	}
	var err error
	if c.routes, err = openRoutes(ports); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(configuration, strings.Join(peers, ", "), secret, maxDeliveries, appTimeout)
	if soak {
		text = strings.ReplaceAll(text, "max_age: 3h", "max_age: 2m") + fmt.Sprintf(soakConfiguration, soakPassword)
		text = strings.Replace(text, "  ack_wait: 5s\n", "  ack_wait: 5s\n  dedup_window: 30s\n  max_age: 1m\n", 1)
		if err := c.listenForSoak(); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(c.file(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if err := c.start(n.index); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) file() string { return filepath.Join(c.dir, "stompbox.yaml") }

func (c *cluster) log(i int) string { return filepath.Join(c.dir, fmt.Sprintf("n%d.log", i)) }

// start starts a node, again if it ran before. Its log goes on.
func (c *cluster) start(i int) error {
	n := c.nodes[i]
	out, err := os.OpenFile(c.log(i), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own
	p := exec.Command(c.binary, "serve", "-c", c.file(), "--http", n.http, "--stomp", n.stomp, "--data-dir", filepath.Join(c.dir, fmt.Sprintf("n%d", i)))
	p.Dir, p.Stdout, p.Stderr = c.dir, out, out
	p.Env = append(os.Environ(), fmt.Sprintf("STOMPBOX_CLUSTER_NODE=n%d", i), "STOMPBOX_CLUSTER_LISTEN="+net.JoinHostPort(nodeHost, n.port))
	if n.metrics != "" {
		p.Env = append(p.Env, "STOMPBOX_METRICS_LISTEN="+n.metrics, "STOMPBOX_NATS_LISTEN="+n.nats)
	}
	if err := p.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	n.mu.Lock()
	n.process, n.exited = p, exited
	n.mu.Unlock()
	go func() {
		err := p.Wait()
		n.mu.Lock()
		n.exit = err
		n.mu.Unlock()
		close(exited)
	}()
	return nil
}

// signal sends a signal to a node's process.
func (c *cluster) signal(i int, s syscall.Signal) error {
	n := c.nodes[i]
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process.Process.Signal(s)
}

// wait waits for the end of a node's process, and returns its error.
func (c *cluster) wait(i int, within time.Duration) error {
	n := c.nodes[i]
	n.mu.Lock()
	exited := n.exited
	n.mu.Unlock()
	select {
	case <-exited:
	case <-time.After(within):
		return errors.New("it did not end")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exit
}

// running reports whether a node's process is there.
func (c *cluster) running(i int) bool {
	n := c.nodes[i]
	n.mu.Lock()
	exited := n.exited
	n.mu.Unlock()
	select {
	case <-exited:
		return false
	default:
		return true
	}
}

// ready waits until all nodes say that they are.
func (c *cluster) ready(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, n := range c.nodes {
		for {
			status := "no answer"
			answer, err := client.Get("http://" + n.http + "/readyz")
			if err == nil {
				status = answer.Status
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusOK {
					break
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("n%d is not ready: %s", n.index, status)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}

// stop ends all nodes well.
func (c *cluster) stop() error {
	var failed error
	for i := range c.nodes {
		if err := c.signal(i, syscall.SIGTERM); err != nil {
			failed = errors.Join(failed, fmt.Errorf("n%d: %w", i, err))
		}
	}
	for i := range c.nodes {
		if err := c.wait(i, 30*time.Second); err != nil {
			failed = errors.Join(failed, fmt.Errorf("n%d did not stop well: %w", i, err))
		}
	}
	return failed
}

// kill ends whatever still runs.
func (c *cluster) kill() {
	for i, n := range c.nodes {
		if n != nil && n.process != nil && c.running(i) {
			_ = c.signal(i, syscall.SIGKILL)
			_ = c.wait(i, 10*time.Second)
		}
	}
	c.routes.close()
}
