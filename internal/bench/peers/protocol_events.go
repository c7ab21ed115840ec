package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// events is a stream of server-sent events. What is sent goes through another protocol.
type events struct {
	// request makes the path of a stream of a topic.
	request func(topic, token string) string
	header  bool // the token goes into a header
	json    bool // bodies have to be JSON
}

type eventsClient struct {
	events
	address, token string
	conn           net.Conn
	r              *bufio.Reader
}

var (
	stompboxEvents = events{header: true, request: func(topic, _ string) string {
		return "/events?destination=" + url.QueryEscape("/topic/"+topic)
	}}
	centrifugoEvents = events{json: true, request: func(topic, token string) string {
		connect, _ := json.Marshal(map[string]any{"token": token, "subs": map[string]any{topic: map[string]any{}}})
		return "/connection/uni_sse?cf_connect=" + url.QueryEscape(string(connect))
	}}
)

// dial waits for the topic: a stream begins with its subscription.
func (e events) dial(address, token string) (client, error) {
	return &eventsClient{events: e, address: address, token: token}, nil
}

func (c *eventsClient) subscribe(topic string) (err error) {
	if c.conn, err = net.DialTimeout("tcp", c.address, patience); err != nil {
		return err
	}
	request := "GET " + c.request(topic, c.token) + " HTTP/1.1\r\nHost: " + c.address + "\r\nAccept: text/event-stream\r\n"
	if c.header {
		request += "Authorization: Bearer " + c.token + "\r\n"
	}
	if _, err = c.conn.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	c.r = bufio.NewReaderSize(c.conn, 4<<10)
	response, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it is read as lines, and ends with the connection
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	// The body is read as it comes: chunks have their sizes in lines of their own, which
	// are no fields of an event.
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("data:")) {
			return nil // both servers begin with an event of their own
		}
	}
}

func (c *eventsClient) publish(string, []byte) error { return errors.New("a stream sends nothing") }

// beatEvery is 0: a stream sends nothing.
func (c *eventsClient) beatEvery() time.Duration { return 0 }

func (c *eventsClient) beat() error { return nil }

func (c *eventsClient) busy() { c.r = bufio.NewReaderSize(c.conn, 32<<10) }

func (c *eventsClient) read(each func(body []byte)) error {
	_ = c.conn.SetReadDeadline(time.Now().Add(loadTime))
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return nil
	}
	data = bytes.TrimLeft(data, " ")
	if _, inside, ok := bytes.Cut(data, []byte(`"data":"`)); ok { // Centrifugo's JSON
		data = inside
	}
	if len(data) > 0 && data[0] >= '0' && data[0] <= '9' {
		each(data)
	}
	return nil
}

func (c *eventsClient) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}
