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

// patience is how long a client waits for bytes.
const patience = 30 * time.Second

// target is the node under attack, and the token of the user who attacks it.
type target struct {
	HTTP, STOMP, Token string
}

// link is one STOMP connection.
type link struct {
	conn   net.Conn
	ws     *websocket.Conn // nil for TCP
	reader *frames.Reader
}

// messages reads the messages of a WebSocket as a stream.
type messages struct {
	ws   *websocket.Conn
	next io.Reader
}

func (r *messages) Read(p []byte) (int, error) {
	for {
		if r.next == nil {
			_ = r.ws.SetReadDeadline(time.Now().Add(patience))
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

func (t *target) dialWebSocket(ctx context.Context) (*link, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}, HandshakeTimeout: patience, EnableCompression: true}
	ws, answer, err := dialer.DialContext(ctx, "ws://"+t.HTTP+"/ws", nil)
	if answer != nil {
		_ = answer.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	return newLink(ws.NetConn(), ws, &messages{ws: ws}), nil
}

func (t *target) dialTCP(ctx context.Context) (*link, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", t.STOMP)
	if err != nil {
		return nil, err
	}
	return newLink(conn, nil, conn), nil
}

func newLink(conn net.Conn, ws *websocket.Conn, from io.Reader) *link {
	l := &link{conn: conn, ws: ws, reader: frames.NewReader(from, &frames.Limits{MaxBody: 16 << 20})}
	l.reader.SetVersion(frames.V12)
	return l
}

// connect sends CONNECT and wants CONNECTED.
func (l *link) connect(token string) error {
	if err := l.send(frames.CONNECT, "accept-version", "1.2", "host", "stompbox", "Authorization", "Bearer "+token); err != nil {
		return err
	}
	f, err := l.next()
	if err == nil && f.Command != frames.CONNECTED {
		err = fmt.Errorf("%s: %s", f.Command, f.Get("message"))
	}
	return err
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

func (l *link) write(text []byte) error {
	_ = l.conn.SetWriteDeadline(time.Now().Add(patience))
	if l.ws != nil {
		return l.ws.WriteMessage(websocket.TextMessage, text)
	}
	_, err := l.conn.Write(text)
	return err
}

// next returns the next frame.
func (l *link) next() (*frames.Frame, error) {
	if l.ws == nil {
		_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	}
	f := new(frames.Frame)
	return f, l.reader.Read(f)
}

func (l *link) receipt(id string) error {
	for {
		f, err := l.next()
		switch {
		case err != nil:
			return err
		case f.Command == frames.ERROR:
			return errors.New(f.Get("message"))
		case f.Command == frames.RECEIPT && f.Get("receipt-id") == id:
			return nil
		}
	}
}

func (l *link) close() { _ = l.conn.Close() }
