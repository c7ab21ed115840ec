package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// link is a STOMP connection that may fail, as those of real clients do.
type link struct {
	conn   net.Conn
	write  func([]byte) error
	reader *frames.Reader
}

// openLink connects as guest, over WebSocket or TCP.
func openLink(p *process, webSocket bool) (*link, error) {
	l := &link{}
	if webSocket {
		dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}, HandshakeTimeout: 10 * time.Second}
		ws, _, err := dialer.Dial("ws://"+p.http+"/ws", http.Header{})
		if err != nil {
			return nil, err
		}
		l.conn, l.write = ws.NetConn(), func(b []byte) error { return ws.WriteMessage(websocket.TextMessage, b) }
		l.reader = frames.NewReader(&wsStream{ws: ws}, &frames.Limits{MaxBody: 16 << 20})
	} else {
		c, err := net.DialTimeout("tcp", p.tcp, 5*time.Second)
		if err != nil {
			return nil, err
		}
		l.conn, l.write = c, func(b []byte) error { _, err := c.Write(b); return err }
		l.reader = frames.NewReader(c, &frames.Limits{MaxBody: 16 << 20})
	}
	l.reader.SetVersion(frames.V12)
	if err := l.send(frames.CONNECT, "accept-version", "1.2", "heart-beat", "10000,10000", "login", "guest", "passcode", cmp.Or(p.passcode, "guest")); err != nil {
		return nil, errors.Join(err, l.conn.Close())
	}
	f, err := l.read(test.Patience)
	if err != nil || f.Command != frames.CONNECTED {
		return nil, errors.Join(fmt.Errorf("no CONNECTED: %v", f), err, l.conn.Close())
	}
	return l, nil
}

// send sends a frame; a last odd string is its body.
func (l *link) send(command string, pairs ...string) error {
	var body string
	if len(pairs)%2 == 1 {
		body, pairs = pairs[len(pairs)-1], pairs[:len(pairs)-1]
	}
	f := frames.New(command, pairs...)
	f.Body = []byte(body)
	return l.write(frames.Append(nil, f, frames.V12))
}

func (l *link) read(within time.Duration) (*frames.Frame, error) {
	_ = l.conn.SetReadDeadline(time.Now().Add(within))
	f := new(frames.Frame)
	return f, l.reader.Read(f)
}

// follower reads a topic as a STOMP.js client with last-event-id does: when its
// connection ends it goes to another node, and asks for what it missed.
type follower struct {
	nodes     func(i int) *process
	topic     string
	webSocket bool
	first     int // which node it begins with

	mu         sync.Mutex
	seen       []string
	last       string
	incomplete int
	links      int
	current    *link
}

// follow has followers begin, and returns when all have seen the first message,
// which first sends. They end with ctx; then running is done.
func follow(ctx context.Context, t *testing.T, followers []*follower, first func(context.Context)) (running *sync.WaitGroup) {
	t.Helper()
	running = new(sync.WaitGroup)
	var subscribed sync.WaitGroup
	for i, f := range followers {
		f.first = i
		subscribed.Add(1)
		running.Go(func() { f.follow(ctx, &subscribed) })
	}
	subscribed.Wait()
	first(ctx)
	for _, f := range followers {
		require.Eventually(t, func() bool { return f.count() > 0 }, test.Patience, 10*time.Millisecond)
	}
	return running
}

func (f *follower) follow(ctx context.Context, subscribed *sync.WaitGroup) {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.current != nil {
			_ = f.current.conn.Close()
		}
	})
	defer stop()
	once := sync.OnceFunc(subscribed.Done)
	for i := f.first; ctx.Err() == nil; i++ {
		l, err := openLink(f.nodes(i), f.webSocket)
		if err == nil {
			f.readLink(ctx, l, once)
			_ = l.conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond): // STOMP.js's reconnectDelay
		}
	}
}

func (f *follower) readLink(ctx context.Context, l *link, subscribed func()) {
	f.mu.Lock()
	f.current = l
	f.links++
	headers := []string{"id", "sub-0", "destination", f.topic, "receipt", "subscribed"}
	if f.last != "" {
		headers = append(headers, "last-event-id", f.last)
	}
	f.mu.Unlock()
	if ctx.Err() != nil || l.send(frames.SUBSCRIBE, headers...) != nil {
		return
	}
	for {
		frame, err := l.read(test.Patience)
		switch {
		case err != nil:
			return
		case frame.Command == frames.RECEIPT:
			subscribed()
		case frame.Command == frames.MESSAGE:
			f.mu.Lock()
			f.seen = append(f.seen, string(frame.Body))
			f.last = frame.Get("message-id")
			if frame.Get("replay") != "" {
				f.incomplete++
			}
			f.mu.Unlock()
		}
	}
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// sawAll wants the follower to have seen the numbers up to n, in order, each once.
func (f *follower) sawAll(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return f.count() >= n }, test.Patience, 50*time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, body := range f.seen {
		require.Equal(t, strconv.Itoa(i), body, "after %d connections", f.links)
	}
	require.Len(t, f.seen, n)
	require.Zero(t, f.incomplete)
}

// publisher sends numbers, each until it is confirmed, to whichever node takes it.
type publisher struct {
	nodes       func(i int) *process
	destination string
	first       int
	link        *link
	next        int // the next number
	retries     int
}

func (p *publisher) publish(ctx context.Context) {
	id := p.destination + " " + strconv.Itoa(p.next)
	for ctx.Err() == nil {
		if p.link == nil {
			l, err := openLink(p.nodes(p.first), false)
			if err != nil {
				p.again()
				continue
			}
			p.link = l
		}
		err := p.link.send(frames.SEND, "destination", p.destination, "receipt", id, "dedup-id", id, strconv.Itoa(p.next))
		var f *frames.Frame
		if err == nil {
			f, err = p.link.read(test.Patience)
		}
		if err == nil && f.Command == frames.RECEIPT && f.Get("receipt-id") == id {
			p.next++
			return
		}
		_ = p.link.conn.Close()
		p.link = nil
		p.again()
	}
}

func (p *publisher) again() {
	p.first++
	p.retries++
	time.Sleep(100 * time.Millisecond)
}

// historyConfig writes a configuration with a history, and returns its file.
func historyConfig(t *testing.T, replicas int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	text := fmt.Sprintf("history:\n  replicas: %d\n  policies:\n    - { name: kept, match: \"/topic/kept.**\", max_age: 1h }\n", replicas)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// ready waits until a node says that it is.
func (p *process) ready(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + p.http + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, test.Patience, 50*time.Millisecond, "%s", p.stderr)
}
