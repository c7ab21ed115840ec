package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// socketIO is Socket.IO 4 over WebSocket alone, which its documentation recommends where
// the first request by HTTP is not needed. Rooms are topics.
type socketIO struct{}

type socketIOClient struct {
	base
	acks int
}

func (socketIO) dial(address, token string) (client, error) {
	w, err := dialWebSocket(address, "/socket.io/?EIO=4&transport=websocket", "")
	if err != nil {
		return nil, err
	}
	c := &socketIOClient{base: base{webSocket: w}}
	if err := c.await("0{"); err != nil {
		return nil, err
	}
	auth, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		return nil, err
	}
	if err := c.write(opText, append([]byte("40"), auth...)); err != nil {
		return nil, err
	}
	return c, c.await("40")
}

// await reads until a packet with this beginning has come.
func (c *socketIOClient) await(beginning string) error {
	for {
		p, err := c.packet()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(p, []byte("44")) {
			return fmt.Errorf("the server says %q", p)
		}
		if bytes.HasPrefix(p, []byte(beginning)) {
			return nil
		}
	}
}

// packet returns the next packet, and answers pings.
func (c *socketIOClient) packet() ([]byte, error) {
	p, err := c.next()
	if err == nil && len(p) == 1 && p[0] == '2' {
		err = c.write(opText, []byte("3"))
	}
	return p, err
}

func (c *socketIOClient) subscribe(topic string) error {
	c.acks++
	if err := c.write(opText, fmt.Appendf(nil, `42%d["join",%q]`, c.acks, topic)); err != nil {
		return err
	}
	return c.await("43" + strconv.Itoa(c.acks))
}

func (c *socketIOClient) publish(topic string, body []byte) error {
	c.buf = append(c.buf[:0], `42["publish",`...)
	c.buf = strconv.AppendQuote(c.buf, topic)
	c.buf = append(append(append(c.buf, `,"`...), body...), `"]`...)
	return c.write(opText, c.buf)
}

var event = []byte(`42["m","`)

func (c *socketIOClient) read(each func(body []byte)) error {
	p, err := c.packet()
	if err != nil {
		return err
	}
	if body, ok := bytes.CutPrefix(p, event); ok {
		each(bytes.TrimSuffix(body, []byte(`"]`)))
	}
	return nil
}

// beatEvery is 0: the server asks with a ping.
func (c *socketIOClient) beatEvery() time.Duration { return 0 }

func (c *socketIOClient) beat() error { return nil }
