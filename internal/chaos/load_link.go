package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/frames"
)

// patience is how long a client waits for an answer, or a heart-beat, until it goes
// elsewhere.
const patience = 12 * time.Second

// link is one STOMP connection of a client.
type link struct {
	node   int
	conn   net.Conn
	write  func([]byte) error
	reader *frames.Reader
	user   string
}

// impatient is a connection on which each read and write may take so long.
type impatient struct {
	net.Conn
	read io.Reader
}

func (c *impatient) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c.read.Read(p)
}

// wsReader reads the messages of a WebSocket as a stream.
type wsReader struct {
	ws   *websocket.Conn
	next io.Reader
}

func (r *wsReader) Read(p []byte) (int, error) {
	for {
		if r.next == nil {
			_, next, err := r.ws.NextReader()
			if err != nil {
				return 0, err
			}
			r.next = next
		}
		n, err := r.next.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if r.next = nil; n > 0 {
			return n, nil
		}
	}
}

// dial connects a user to a node, over WebSocket or TCP.
func (r *run) dial(ctx context.Context, node int, user string, webSocket bool) (*link, error) {
	l := &link{node: node, user: user}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := r.cluster.nodes[node]
	if webSocket {
		dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}, HandshakeTimeout: patience}
		ws, answer, err := dialer.DialContext(ctx, "ws://"+n.http+"/ws", nil)
		if answer != nil {
			_ = answer.Body.Close()
		}
		if err != nil {
			return nil, err
		}
		l.conn = ws.NetConn()
		l.write = func(b []byte) error { return ws.WriteMessage(websocket.TextMessage, b) }
		l.reader = frames.NewReader(&impatient{l.conn, &wsReader{ws: ws}}, &frames.Limits{MaxBody: 16 << 20})
	} else {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", n.stomp)
		if err != nil {
			return nil, err
		}
		l.conn = conn
		l.write = func(b []byte) error { _, err := conn.Write(b); return err }
		l.reader = frames.NewReader(&impatient{conn, conn}, &frames.Limits{MaxBody: 16 << 20})
	}
	l.reader.SetVersion(frames.V12)
	err := l.send(frames.CONNECT, "accept-version", "1.2", "heart-beat", "0,2000", "passcode", r.tokens[user], "login", user)
	if err == nil {
		var f *frames.Frame
		if f, err = l.next(); err == nil && f.Command != frames.CONNECTED {
			err = errors.New(said(f))
		}
	}
	if err != nil {
		l.close()
		return nil, err
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
	_ = l.conn.SetWriteDeadline(time.Now().Add(patience))
	return l.write(frames.Append(nil, f, frames.V12))
}

// next returns the next frame.
func (l *link) next() (*frames.Frame, error) {
	f := new(frames.Frame)
	return f, l.reader.Read(f)
}

// receipt waits for a RECEIPT, and gives other frames to handle.
func (l *link) receipt(id string, handle func(*frames.Frame)) error {
	for {
		f, err := l.next()
		switch {
		case err != nil:
			return err
		case f.Command == frames.ERROR:
			return errors.New(said(f))
		case f.Command == frames.RECEIPT && f.Get("receipt-id") == id:
			return nil
		case handle != nil:
			handle(f)
		}
	}
}

func (l *link) close() {
	if tcp, ok := l.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = l.conn.Close()
}

func said(f *frames.Frame) string {
	return fmt.Sprintf("%s: %s", f.Command, f.Get("message"))
}
