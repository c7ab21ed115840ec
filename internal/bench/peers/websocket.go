package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// webSocket is as light as can be, so that the servers get the machine. It takes what
// servers send to clients, and masks with zeros, which changes no byte.
type webSocket struct {
	conn net.Conn
	r    *bufio.Reader
	all  []byte // of a message in several frames

	writing sync.Mutex // the reader answers pings while others send
	out     []byte
}

const (
	opText, opBinary, opClose, opPing, opPong = 1, 2, 8, 9, 10

	// patience is how long a handshake may take.
	patience = 60 * time.Second
	// loadTime is how long a load may take. Some servers send nothing for two minutes to a
	// connection that is idle.
	loadTime = 3 * time.Minute
)

func dialWebSocket(address, path, subprotocol string) (*webSocket, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	w := &webSocket{conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}
	if err := w.open(address, path, subprotocol); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *webSocket) open(address, path, subprotocol string) error {
	_ = w.conn.SetDeadline(time.Now().Add(patience))
	defer func() { _ = w.conn.SetDeadline(time.Time{}) }()
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if subprotocol != "" {
		request += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	if _, err := w.conn.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	response, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	return nil
}

func (w *webSocket) write(op byte, payload []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.out = append(w.out[:0], 0x80|op)
	switch n := len(payload); {
	case n <= 125:
		w.out = append(w.out, 0x80|byte(n))
	case n <= 0xffff:
		w.out = append(w.out, 0x80|126)
		w.out = binary.BigEndian.AppendUint16(w.out, uint16(n))
	default:
		w.out = append(w.out, 0x80|127)
		w.out = binary.BigEndian.AppendUint64(w.out, uint64(n))
	}
	w.out = append(append(w.out, 0, 0, 0, 0), payload...)
	_, err := w.conn.Write(w.out)
	return err
}

// read returns the next message, which is valid until the next call, and answers pings.
func (w *webSocket) read() ([]byte, error) {
	w.all = w.all[:0]
	for {
		op, last, payload, err := w.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opPing:
			if err := w.write(opPong, payload); err != nil {
				return nil, err
			}
			continue
		case opPong:
			continue
		case opClose:
			return nil, fmt.Errorf("the server closed: %q", payload)
		}
		if last && len(w.all) == 0 {
			return payload, nil
		}
		if w.all = append(w.all, payload...); last {
			return w.all, nil
		}
	}
}

func (w *webSocket) frame() (op byte, last bool, payload []byte, err error) {
	head, err := w.r.Peek(2)
	if err != nil {
		return 0, false, nil, err
	}
	op, last = head[0]&0xf, head[0]&0x80 != 0
	length, skip := int(head[1]&0x7f), 2
	switch length {
	case 126:
		if head, err = w.r.Peek(4); err != nil {
			return 0, false, nil, err
		}
		length, skip = int(binary.BigEndian.Uint16(head[2:])), 4
	case 127:
		if head, err = w.r.Peek(10); err != nil {
			return 0, false, nil, err
		}
		length, skip = int(binary.BigEndian.Uint64(head[2:])), 10
	}
	if _, err := w.r.Discard(skip); err != nil {
		return 0, false, nil, err
	}
	payload, err = w.r.Peek(length)
	if errors.Is(err, bufio.ErrBufferFull) {
		payload = make([]byte, length)
		_, err = io.ReadFull(w.r, payload)
		return op, last, payload, err
	}
	if err == nil {
		_, err = w.r.Discard(length)
	}
	return op, last, payload, err
}

// grow gives a connection that is measured the buffer of a busy client. Nothing that was
// read is lost.
func (w *webSocket) grow() {
	w.r = bufio.NewReaderSize(io.MultiReader(peeked(w.r), w.conn), 32<<10)
}

// peeked returns what a reader has buffered.
func peeked(r *bufio.Reader) io.Reader { return io.LimitReader(r, int64(r.Buffered())) }

func (w *webSocket) Close() error { return w.conn.Close() }
