package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// silentConnections opens connections that say nothing.
func silentConnections(ctx context.Context, t *target, worker int) error {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	address := []string{t.HTTP, t.STOMP}[worker%2]
	for len(open) < 250 {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		open = append(open, c)
	}
	sleep(ctx, 5*time.Second)
	return nil
}

// endlessHeaders sends headers that are short and many, and never ends them.
func endlessHeaders(ctx context.Context, t *target, worker int) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var lines strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&lines, "%x:\n", i+worker)
	}
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n%s", t.HTTP, lines.String()); err != nil {
		return err
	}
	sleep(ctx, 5*time.Second)
	return nil
}

// framesBeforeConnect sends a body of the full size where a CONNECT is due.
func framesBeforeConnect(ctx context.Context, t *target, _ int) error {
	l, err := t.dialWebSocket(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	return errors.Join(l.send(frames.SEND, "destination", "/topic/a", strings.Repeat("x", 4<<20)), l.receipt(""))
}

// unfinishedPosts leaves requests without the end that their headers announce.
func unfinishedPosts(ctx context.Context, t *target, worker int) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	path := []string{"/api/send", "/sockjs/000/none/xhr_send", "/ws"}[worker%3]
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[", path, t.HTTP); err != nil {
		return err
	}
	for sleep(ctx, 500*time.Millisecond) {
		if _, err := io.WriteString(c, " "); err != nil {
			return err
		}
	}
	return nil
}

// sockJSBodies posts bodies of 16 MiB to sessions that do not exist, and to some that do.
func sockJSBodies(ctx context.Context, t *target, worker int) error {
	session := fmt.Sprintf("http://%s/sockjs/000/%d-%d", t.HTTP, worker, rand.Uint32())
	if worker%2 == 0 {
		_ = t.post(ctx, session+"/xhr", "", strings.NewReader(""))
	}
	return t.post(ctx, session+"/xhr_send", "", strings.NewReader("["+strings.Repeat(`"",`, 5<<20)+`""]`))
}

// passcodes guesses the passcode of a login.
func passcodes(ctx context.Context, t *target, worker int) error {
	l, err := t.dialTCP(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	return errors.Join(l.send(frames.CONNECT, "accept-version", "1.2", "login", "relay", "passcode", fmt.Sprint(worker, rand.Uint64())), l.receipt(""))
}

// falseTokens shows tokens that no key verifies.
func falseTokens(ctx context.Context, t *target, _ int) error {
	l, err := t.dialTCP(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	part := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"` + strings.Repeat("k", 11000) + `"}`))
	return errors.Join(l.connect(part+"."+part[:100]+".c2ln"), l.receipt(""))
}

// refusedOrigins comes from pages that are not allowed.
func refusedOrigins(ctx context.Context, t *target, worker int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.HTTP+"/ws", nil)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Origin": fmt.Sprintf("https://evil-%d.example/%s", worker, strings.Repeat("x", 2000)), "Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	return do(r)
}

// post sends a request with a token, and reads the answer.
func (t *target) post(ctx context.Context, url, token string, body io.Reader) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	return t.authorized(r, token)
}

func (t *target) authorized(r *http.Request, token string) error {
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return do(r)
}

func do(r *http.Request) error {
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}

// endless repeats a text.
type endless struct {
	text []byte
	left int
	rest *bytes.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == nil || e.rest.Len() == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.left--
		e.rest = bytes.NewReader(e.text)
	}
	return e.rest.Read(p)
}
