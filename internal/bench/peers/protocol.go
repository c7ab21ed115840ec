package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// protocol is how the clients of a server speak.
type protocol interface {
	// dial connects and authenticates.
	dial(address, token string) (client, error)
}

// client is a connection of any of the servers. One goroutine reads, and one writes.
type client interface {
	// subscribe returns when the server has confirmed.
	subscribe(topic string) error
	publish(topic string, body []byte) error
	// read calls each with the body of the messages of one read, of which there may be none.
	read(each func(body []byte)) error
	// busy prepares for many messages.
	busy()
	// beatEvery is how often the client has to send a heart-beat, or 0.
	beatEvery() time.Duration
	beat() error
	Close() error
}

// base is what the clients over WebSocket have in common.
type base struct {
	*webSocket
	rest []byte // of a frame that has not come whole
	buf  []byte
}

func (b *base) busy() { b.grow() }

// next returns what has come, behind what was left of the last read.
func (b *base) next() ([]byte, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(loadTime))
	p, err := b.webSocket.read()
	if err != nil || len(b.rest) == 0 {
		return p, err
	}
	b.rest = append(b.rest, p...)
	return b.rest, nil
}

func (b *base) keep(p []byte) { b.rest = append(b.rest[:0], p...) }

// stomp is STOMP 1.2 over WebSocket: stompbox, Spring, RabbitMQ and Artemis.
type stomp struct {
	path, login string // login is what CONNECT has in addition to a token
	prefix      string // of topics
}

type stompClient struct {
	base
	stomp
	subscriptions int
	every         time.Duration // as agreed with the server
}

// stompBeat is how often clients offer and want heart-beats over STOMP, in milliseconds.
const stompBeat = 10_000

func (s stomp) dial(address, token string) (client, error) {
	w, err := dialWebSocket(address, s.path, "v12.stomp")
	if err != nil {
		return nil, err
	}
	c := &stompClient{base: base{webSocket: w}, stomp: s}
	connect := fmt.Sprintf("CONNECT\naccept-version:1.2\nhost:/\nheart-beat:%d,%d\n", stompBeat, stompBeat) + s.login
	if token != "" {
		connect += "Authorization:Bearer " + token + "\n"
	}
	if err := c.write(opText, []byte(connect+"\n\x00")); err != nil {
		return nil, err
	}
	connected, err := c.awaitFrame("CONNECTED")
	c.every = agreedBeat(connected)
	return c, err
}

// agreedBeat is how often a client has to beat, by the heart-beat header of a CONNECTED
// frame: what the client offered or what the server wants, whichever is slower. 0 is not at
// all.
func agreedBeat(connected []byte) time.Duration {
	_, value, _ := bytes.Cut(connected, []byte("\nheart-beat:"))
	value, _, _ = bytes.Cut(value, []byte("\n"))
	_, wanted, _ := bytes.Cut(value, []byte(","))
	ms := digits(wanted)
	if ms == 0 {
		return 0
	}
	return time.Duration(max(ms, stompBeat)) * time.Millisecond
}

func (c *stompClient) await(command string) error {
	_, err := c.awaitFrame(command)
	return err
}

// awaitFrame reads until a frame of a command has come, and returns it.
func (c *stompClient) awaitFrame(command string) (frame []byte, err error) {
	for {
		err := c.frames(func(f []byte) error {
			if bytes.HasPrefix(f, []byte("ERROR")) {
				return fmt.Errorf("the server says %q", f)
			}
			if frame == nil && (bytes.HasPrefix(f, []byte(command+"\n")) || bytes.HasPrefix(f, []byte(command+"\r\n"))) {
				frame = bytes.Clone(f)
			}
			return nil
		})
		if err != nil || frame != nil {
			return frame, err
		}
	}
}

// frames calls each with the whole frames of one read.
func (c *stompClient) frames(each func(frame []byte) error) error {
	p, err := c.next()
	if err != nil {
		return err
	}
	for {
		p = bytes.TrimLeft(p, "\r\n")
		frame, rest, whole := bytes.Cut(p, []byte{0})
		if !whole {
			c.keep(p)
			return nil
		}
		if err := each(frame); err != nil {
			return err
		}
		p = rest
	}
}

func (c *stompClient) subscribe(topic string) error {
	id := c.subscriptions
	c.subscriptions++
	return c.subscribeWith(fmt.Sprintf("id:sub-%d\ndestination:%s%s\n", id, c.prefix, topic))
}

func (c *stompClient) subscribeWith(headers string) error {
	// Spring's simple broker sends no RECEIPTs, and handles the frames of a client in
	// order only where it is configured to: the fan-out begins with messages that do not count.
	if err := c.write(opText, []byte("SUBSCRIBE\n"+headers+"receipt:r\n\n\x00")); err != nil || c.login == noReceipts {
		return err
	}
	return c.await("RECEIPT")
}

// noReceipts marks a server that confirms nothing.
const noReceipts = "x-receipts:none\n"

func (c *stompClient) publish(topic string, body []byte) error {
	c.buf = append(append(append(c.buf[:0], "SEND\ndestination:"...), c.prefix...), topic...)
	c.buf = append(c.buf, "\ncontent-type:text/plain\n\n"...)
	c.buf = append(append(c.buf, body...), 0)
	return c.write(opText, c.buf)
}

func (c *stompClient) beatEvery() time.Duration { return c.every }

func (c *stompClient) beat() error { return c.write(opText, []byte("\n")) }

func (c *stompClient) read(each func(body []byte)) error {
	return c.frames(func(f []byte) error {
		if bytes.HasPrefix(f, []byte("MESSAGE")) {
			_, body, _ := bytes.Cut(f, []byte("\n\n"))
			if body == nil {
				_, body, _ = bytes.Cut(f, []byte("\r\n\r\n"))
			}
			each(body)
			return nil
		}
		if bytes.HasPrefix(f, []byte("ERROR")) {
			return fmt.Errorf("the server says %q", f)
		}
		return nil
	})
}

// nats is NATS's own protocol over WebSocket.
type nats struct{}

type natsClient struct {
	base
	subscriptions int
}

// dial shows the shared token of all clients.
func (nats) dial(address, _ string) (client, error) {
	w, err := dialWebSocket(address, "/", "")
	if err != nil {
		return nil, err
	}
	c := &natsClient{base: base{webSocket: w}}
	connect := fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"echo":true,"protocol":1,"headers":true,"lang":"go","version":"1","auth_token":%q}`, secret)
	if err := c.write(opBinary, []byte(connect+"\r\n")); err != nil {
		return nil, err
	}
	return c, c.flush()
}

// flush returns when the server has done all that was sent.
func (c *natsClient) flush() error {
	if err := c.write(opBinary, []byte("PING\r\n")); err != nil {
		return err
	}
	for ponged := false; !ponged; {
		err := c.lines(func(line string, _ []byte) error {
			ponged = ponged || line == "PONG"
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lines calls each with the whole protocol lines of one read, and the payload that follows.
func (c *natsClient) lines(each func(line string, payload []byte) error) error {
	p, err := c.next()
	if err != nil {
		return err
	}
	for {
		raw, rest, whole := bytes.Cut(p, []byte("\r\n"))
		if !whole {
			break
		}
		var payload []byte
		if bytes.HasPrefix(raw, []byte("MSG ")) {
			n := digits(raw[bytes.LastIndexByte(raw, ' ')+1:])
			if len(rest) < n+2 {
				break
			}
			payload, rest = rest[:n], rest[n+2:]
			if err := each("MSG", payload); err != nil {
				return err
			}
			p = rest
			continue
		}
		line := string(raw)
		switch {
		case line == "PING":
			if err := c.write(opBinary, []byte("PONG\r\n")); err != nil {
				return err
			}
		case strings.HasPrefix(line, "-ERR"):
			return errors.New(line)
		}
		if err := each(line, nil); err != nil {
			return err
		}
		p = rest
	}
	c.keep(p)
	return nil
}

func (c *natsClient) subscribe(topic string) error {
	c.subscriptions++
	if err := c.write(opBinary, fmt.Appendf(nil, "SUB %s %d\r\n", topic, c.subscriptions)); err != nil {
		return err
	}
	return c.flush()
}

func (c *natsClient) publish(topic string, body []byte) error {
	c.buf = append(append(append(c.buf[:0], "PUB "...), topic...), ' ')
	c.buf = append(strconv.AppendInt(c.buf, int64(len(body)), 10), "\r\n"...)
	c.buf = append(append(c.buf, body...), "\r\n"...)
	return c.write(opBinary, c.buf)
}

func (c *natsClient) read(each func(body []byte)) error {
	return c.lines(func(_ string, payload []byte) error {
		if payload != nil {
			each(payload)
		}
		return nil
	})
}

// beatEvery is the interval at which NATS's own clients send PING, by default. The server
// asks too, and the goroutine that reads answers.
func (c *natsClient) beatEvery() time.Duration { return 2 * time.Minute }

func (c *natsClient) beat() error { return c.write(opBinary, []byte("PING\r\n")) }

// digits reads a number.
func digits(p []byte) int {
	n := 0
	for _, d := range p {
		if d < '0' || d > '9' {
			break
		}
		n = n*10 + int(d-'0')
	}
	return n
}
