package main

import (
	"bytes"
	"errors"
	"net"
	"sync"
)

const (
	// nodeHost is where nodes take routes, and routeHost where others think that they do.
	// Connections to a node come from there too, since nodes tell each other's addresses
	// by where they see them: so every route passes through here.
	nodeHost  = "127.0.1.1"
	routeHost = "127.0.2.1"
	// maxHello bounds what a node says before it says who it is.
	maxHello = 64 << 10
)

// routes are the links between nodes, each of which can be cut in either direction.
type routes struct {
	ports     []string // of the nodes
	listeners []net.Listener
	closed    chan struct{}

	mu      sync.Mutex // guards the following
	changed *sync.Cond
	cut     [nodeCount][nodeCount]bool // from, to
	refuse  bool                       // a cut ends connections; otherwise they fall silent
	conns   map[*route]struct{}
}

// route is one connection between two nodes.
type route struct {
	from, to int // from is -1 until it said who it is
	ends     [2]net.Conn
}

func openRoutes(ports []string) (*routes, error) {
	r := &routes{ports: ports, closed: make(chan struct{}), conns: make(map[*route]struct{})}
	r.changed = sync.NewCond(&r.mu)
	for i, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(routeHost, port))
		if err != nil {
			return nil, err
		}
		r.listeners = append(r.listeners, l)
		go r.accept(i, l)
	}
	return r, nil
}

func (r *routes) accept(to int, l net.Listener) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(routeHost)}}
	for {
		from, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		target, err := dialer.Dial("tcp", net.JoinHostPort(nodeHost, r.ports[to]))
		if err != nil {
			_ = from.Close()
			continue
		}
		c := &route{from: -1, to: to, ends: [2]net.Conn{from, target}}
		r.mu.Lock()
		r.conns[c] = struct{}{}
		r.mu.Unlock()
		go r.pump(c, 0)
		go r.pump(c, 1)
	}
}

// pump moves bytes from one end of a connection to the other, when they may pass.
func (r *routes) pump(c *route, side int) {
	defer r.drop(c)
	buf := make([]byte, 64<<10)
	var hello []byte
	for {
		n, err := c.ends[side].Read(buf)
		chunk := buf[:n]
		if side == 0 && r.unnamed(c) {
			hello = append(hello, chunk...)
			if !r.name(c, hello) && len(hello) < maxHello && err == nil {
				continue
			}
			chunk = hello
		}
		if !r.pass(c, side) {
			return
		}
		if len(chunk) > 0 {
			if _, err := c.ends[1-side].Write(chunk); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *routes) unnamed(c *route) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.from < 0
}

// name finds out who opened a connection.
func (r *routes) name(c *route, hello []byte) bool {
	const key = `"server_name":"n`
	i := bytes.Index(hello, []byte(key))
	if i < 0 || len(hello) <= i+len(key) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.from = int(hello[i+len(key)]-'0') % nodeCount
	return true
}

// pass waits until bytes may pass, and reports whether the connection goes on.
func (r *routes) pass(c *route, side int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.isCutLocked(c, side) {
		select {
		case <-r.closed:
			return false
		default:
		}
		if r.refuse {
			return false
		}
		r.changed.Wait()
	}
	return true
}

func (r *routes) isCutLocked(c *route, side int) bool {
	from, to := c.from, c.to
	if from < 0 { // nothing is known yet but where it goes
		for k := range nodeCount {
			if k != to && !r.cut[k][to] {
				return false
			}
		}
		return true
	}
	if side == 1 {
		from, to = to, from
	}
	return r.cut[from][to]
}

func (r *routes) drop(c *route) {
	for _, end := range c.ends {
		_ = end.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// isolate cuts a node off: what it sends, what it is sent, or both.
func (r *routes) isolate(node int, sends, receives, refuse bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
	for k := range nodeCount {
		if k != node {
			r.cut[node][k], r.cut[k][node] = sends, receives
		}
	}
	if !refuse {
		return
	}
	for c := range r.conns {
		if r.isCutLocked(c, 0) || r.isCutLocked(c, 1) {
			for _, end := range c.ends {
				_ = end.Close()
			}
		}
	}
	r.changed.Broadcast()
}

// split cuts the link between two nodes, which both still reach the third.
func (r *routes) split(a, b int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = false
	r.cut[a][b], r.cut[b][a] = true, true
}

// heal has everything pass again.
func (r *routes) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut, r.refuse = [nodeCount][nodeCount]bool{}, false
	r.changed.Broadcast()
}

func (r *routes) close() {
	close(r.closed)
	for _, l := range r.listeners {
		_ = l.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		for _, end := range c.ends {
			_ = end.Close()
		}
	}
	r.changed.Broadcast()
}
