package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy stands between clients and a server, and fails as networks do.
type proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	gate   chan struct{} // closed: bytes pass
	links  map[*link]bool
	refuse atomic.Bool
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	dead           atomic.Bool // bytes go nowhere, and nothing says so
}

func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, gate: make(chan struct{}), links: map[*link]bool{}}
	close(p.gate)
	go p.serve()
	return p, nil
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.join(conn)
	}
}

func (p *proxy) join(client net.Conn) {
	if p.refuse.Load() {
		_ = client.Close()
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, server, client) })
	both.Go(func() { p.copy(l, client, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// copy passes bytes on while the gate is open. A link that is dead takes them, and stays
// open.
func (p *proxy) copy(l *link, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		<-gate
		if err == nil && !l.dead.Load() {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			if !l.dead.Load() || err == io.EOF {
				l.close()
			}
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// each calls do with all links.
func (p *proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		do(l)
	}
}

// drop cuts all links, and refuses new ones for a while.
func (p *proxy) drop(d time.Duration) {
	p.refuse.Store(true)
	p.each((*link).close)
	time.Sleep(d)
	p.refuse.Store(false)
}

// blackhole has nothing pass for a while; then all of it passes.
func (p *proxy) blackhole(d time.Duration) {
	gate := make(chan struct{})
	p.mu.Lock()
	p.gate = gate
	p.mu.Unlock()
	time.Sleep(d)
	close(gate)
}

// die has nothing pass on the links of now, ever; new ones work.
func (p *proxy) die() { p.each(func(l *link) { l.dead.Store(true) }) }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.each((*link).close)
}
