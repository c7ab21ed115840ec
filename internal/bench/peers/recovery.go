package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	recoveryClients = 10
	recoveryRate    = 20 // messages a second
	// recoveryLead is how long messages flow before a failure.
	recoveryLead = 5 * time.Second
)

// failure is something that happens between clients and a server, or to the server.
type failure struct {
	name string
	// after is how long messages go on after it began, and rest how long clients then have.
	after, rest time.Duration
	happen      func(ctx context.Context, r *recovered) error
}

var failures = []failure{
	{"drop for 2 s", 15 * time.Second, 15 * time.Second, func(_ context.Context, r *recovered) error {
		r.proxy.drop(2 * time.Second)
		return nil
	}},
	{"blackhole for 6 s", 15 * time.Second, 15 * time.Second, func(_ context.Context, r *recovered) error {
		r.proxy.blackhole(6 * time.Second)
		return nil
	}},
	{"silent death", 60 * time.Second, 75 * time.Second, func(_ context.Context, r *recovered) error {
		r.proxy.die()
		return nil
	}},
	{"SIGTERM restart", 20 * time.Second, 15 * time.Second, func(ctx context.Context, r *recovered) error {
		r.process.stop()
		return r.start(ctx)
	}},
	{"SIGKILL restart", 20 * time.Second, 15 * time.Second, func(ctx context.Context, r *recovered) error {
		r.process.kill()
		return r.start(ctx)
	}},
}

// recovered is one peer, and its clients behind a proxy.
type recovered struct {
	peer
	folders
	process *process
	proxy   *proxy
	port    int
	dir     string
	clients *exec.Cmd
	input   interface{ Close() error }
	output  *bufio.Reader
}

func (r *recovered) start(ctx context.Context) (err error) {
	r.process, err = r.peer.start(ctx, r.folders, r.port, r.dir)
	return err
}

// measureRecovery has all peers fail at the same time, which is fair to all: the machine is
// nearly idle.
func measureRecovery(ctx context.Context, o options, c choice, r *results) error {
	stop, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var mu sync.Mutex
	s := newSession(r.Recovery, today(), machine())
	for round := range o.rounds {
		for _, f := range failures {
			var wait sync.WaitGroup
			for _, p := range peers {
				if p.recovery == "" || !c.has(p) || !slices.Contains(c.only, f.name) {
					continue
				}
				wait.Go(func() {
					share, sent, err := throughFailure(ctx, o.folders, p, f)
					mu.Lock()
					defer mu.Unlock()
					if ctx.Err() != nil {
						return
					}
					s.outcome(p.name, f.name, p.version(o.folders)).noteShare(share, err)
					if err != nil {
						fmt.Printf("round %d, %s, %s: %v\n", round+1, p.name, f.name, err)
						return
					}
					fmt.Printf("round %d, %s, %s: %.2f %% of %d confirmed messages\n", round+1, p.name, f.name, share*100, sent)
				})
			}
			wait.Wait()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	return errors.Join(s.finish(), r.save())
}

// startRedis starts what keeps the history of Centrifugo and the sessions of Socket.IO over
// their restarts, as their documentation recommends.
func startRedis(ctx context.Context) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "bench-redis")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, dir, address(port), nil, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "")
	if err != nil {
		return nil, err
	}
	stop = func() {
		p.stop()
		_ = os.RemoveAll(dir)
	}
	return stop, errors.Join(os.Setenv("PEER_REDIS", address(port)), os.Setenv("PEER_RECOVERY", "1"))
}

// throughFailure returns which share of the messages that the server confirmed arrived at
// the clients, and how many it confirmed.
func throughFailure(ctx context.Context, f folders, p peer, fail failure) (share float64, sent int, err error) {
	r := &recovered{peer: p, folders: f}
	if r.dir, err = os.MkdirTemp("", "bench-peers"); err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.RemoveAll(r.dir) }()
	if r.port, err = freePort(); err != nil {
		return 0, 0, err
	}
	if err := r.start(ctx); err != nil {
		return 0, 0, err
	}
	defer func() {
		if r.process != nil {
			r.process.stop()
		}
	}()
	if r.proxy, err = newProxy(address(r.port)); err != nil {
		return 0, 0, err
	}
	defer r.proxy.close()
	if err := r.startClients(ctx); err != nil {
		return 0, 0, err
	}
	publishing, stop := context.WithCancel(ctx)
	confirmed := make(chan []int, 1)
	go func() { confirmed <- publishConfirmed(publishing, p, address(r.port)) }()
	wait(ctx, recoveryLead)
	began := time.Now()
	if err := fail.happen(ctx, r); err != nil {
		stop()
		return 0, 0, err
	}
	wait(ctx, time.Until(began.Add(fail.after)))
	stop()
	numbers := <-confirmed
	wait(ctx, fail.rest)
	return r.share(numbers)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// startClients returns when all are subscribed.
func (r *recovered) startClients(ctx context.Context) error {
	t, err := token()
	if err != nil {
		return err
	}
	if r.name == "NATS" {
		t = secret
	}
	r.clients = exec.CommandContext(ctx, "node", filepath.Join(r.folders.peers, "js", "recover.js"), r.recovery, strconv.Itoa(r.proxy.port()), t, strconv.Itoa(recoveryClients)) //nolint:gosec // our own program
	r.clients.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := r.clients.StdinPipe()
	if err != nil {
		return err
	}
	output, err := r.clients.StdoutPipe()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(r.dir, "clients.log"))
	if err != nil {
		return err
	}
	r.clients.Stderr = log
	r.input, r.output = input, bufio.NewReader(output)
	if err := r.clients.Start(); err != nil {
		return err
	}
	line, err := r.output.ReadString('\n')
	if err != nil || line != "ready\n" {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("the clients say %q %w: %s", line, err, text)
	}
	return nil
}

// share ends the clients, and counts what they have.
func (r *recovered) share(confirmed []int) (float64, int, error) {
	_ = r.input.Close()
	text, err := r.output.ReadBytes('\n')
	if err != nil {
		return 0, 0, fmt.Errorf("the clients: %w", err)
	}
	_ = r.clients.Wait()
	var received [][]int
	if err := json.Unmarshal(text, &received); err != nil {
		return 0, 0, err
	}
	if len(confirmed) == 0 || len(received) == 0 {
		return 0, 0, errors.New("no message was confirmed")
	}
	arrived := 0
	for _, numbers := range received {
		has := make(map[int]bool, len(numbers))
		for _, n := range numbers {
			has[n] = true
		}
		for _, n := range confirmed {
			if has[n] {
				arrived++
			}
		}
	}
	return float64(arrived) / float64(len(confirmed)*len(received)), len(confirmed), nil
}

// publishConfirmed sends numbered messages by the clock until the context ends, connecting
// again where it has to, and returns the numbers of those that the server confirmed. It
// does not come through the proxy.
func publishConfirmed(ctx context.Context, p peer, address string) (confirmed []int) {
	var c client
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	tick := time.NewTicker(time.Second / recoveryRate)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return confirmed
		case <-tick.C:
		}
		var err error
		if c == nil {
			if c, err = dialPublisher(p, address); err != nil {
				c = nil
				continue
			}
		}
		unstop := context.AfterFunc(ctx, closing(c)) // a confirmation may never come
		err = sendConfirmed(c, i)
		unstop()
		if err != nil {
			_ = c.Close()
			c = nil
			continue
		}
		confirmed = append(confirmed, i)
	}
}

func closing(c client) func() { return func() { _ = c.Close() } }

func dialPublisher(p peer, address string) (client, error) {
	t := ""
	if p.tokens {
		var err error
		if t, err = token(); err != nil {
			return nil, err
		}
	}
	c, err := p.protocol.dial(address, t)
	if err != nil {
		return nil, err
	}
	if n, ok := c.(*natsClient); ok {
		return c, n.subscribe("confirmed.*")
	}
	return c, nil
}

// sendConfirmed sends message i, and returns when the server has confirmed it. Spring's
// simple broker confirms nothing: what it took from the socket counts.
func sendConfirmed(c client, i int) error {
	body := strconv.Itoa(i)
	switch c := c.(type) {
	case *stompClient:
		_ = c.conn.SetDeadline(time.Now().Add(5 * time.Second))
		destination := "/topic/recovered"
		if c.path == "/ws" && c.login == "" {
			destination += ".all"
		}
		frame := "SEND\ndestination:" + destination + "\npersistent:true\ncontent-type:text/plain\n"
		if c.login == noReceipts {
			return errors.Join(c.write(opText, []byte(frame+"\n"+body+"\x00")), stillOpen(c.webSocket))
		}
		if err := c.write(opText, []byte(frame+"receipt:"+body+"\n\n"+body+"\x00")); err != nil {
			return err
		}
		return c.await("RECEIPT")
	case *natsClient:
		return c.publishStored(body)
	case *centrifugoClient:
		return c.command(fieldPublish, field(field(nil, fieldChannel, []byte("recovered:all")), fieldData, []byte(body)))
	case *socketIOClient:
		c.acks++
		if err := c.write(opText, fmt.Appendf(nil, `42%d["publish","recovered",%q]`, c.acks, body)); err != nil {
			return err
		}
		return c.await("43" + strconv.Itoa(c.acks))
	}
	return errors.New("nothing is known of this protocol")
}

// stillOpen reports whether the server has not closed.
func stillOpen(w *webSocket) error {
	_ = w.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := w.r.Peek(1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	if err == nil {
		_, _ = w.r.Discard(w.r.Buffered())
	}
	return err
}

// publishStored sends to JetStream, which answers when it has stored.
func (c *natsClient) publishStored(body string) error {
	c.buf = fmt.Appendf(c.buf[:0], "PUB recovered confirmed.1 %d\r\n%s\r\n", len(body), body)
	if err := c.write(opBinary, c.buf); err != nil {
		return err
	}
	for {
		stored := false
		err := c.lines(func(_ string, payload []byte) error {
			if payload == nil {
				return nil
			}
			if stored = bytes.Contains(payload, []byte(`"seq"`)); !stored {
				return fmt.Errorf("the server says %q", payload)
			}
			return nil
		})
		if err != nil || stored {
			return err
		}
	}
}
