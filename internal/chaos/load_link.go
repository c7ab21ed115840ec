package main

import (
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
