package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
)

// upgradesOnly answers requests that open no WebSocket as sockjs-protocol has it.
func upgradesOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !headerHas(r.Header, "Upgrade", "websocket"):
			refuseSockJS(w, r, http.StatusBadRequest, `Can "Upgrade" only to "WebSocket".`)
		case !headerHas(r.Header, "Connection", "upgrade"):
			refuseSockJS(w, r, http.StatusBadRequest, `"Connection" must be "Upgrade".`)
		default:
			next(w, r)
		}
	}
}

// headerHas reports whether one of a header's tokens is this.
func headerHas(header http.Header, name, token string) bool {
	for _, value := range header.Values(name) {
		for word := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(word), token) {
				return true
			}
		}
	}
	return false
}

// webSocket serves a session over a WebSocket, which is the session: its id in the path
// means nothing, and several can have one.
func (h *SockJS) webSocket(w http.ResponseWriter, r *http.Request) {
	if h.broker.Draining() {
		unavailable(w, "1", "the server is shutting down")
		return
	}
	ws, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &sockJSWebSocketConn{conn: newConn(ws.NetConn(), sockJSWebSocket{}, r.RemoteAddr, vanishedAfter(h.broker, missedHeartBeats*h.options.HeartBeat))}
	s, err := h.broker.Open(c)
	if err != nil {
		_ = c.SetDeadline(time.Now().Add(refuseTimeout))
		_ = c.Write([][]byte{wsSockJSOpen})
		refuseConn(c.conn, err)
		return
	}
	s.Push(wsSockJSOpen)
	setControlHandlers(ws, s, webSocket{})
	c.startHeartBeat(s, h.options.HeartBeat)
	address := clientaddr.Network(c.RemoteAddr())
	h.conns.Go(func() {
		defer c.stopHeartBeat()
		s.Detach(readWebSocket(ws, s, webSocket{}, func(text bool, r io.Reader) error { return h.readMessage(text, r, s, address) }))
	})
}

// missedHeartBeats is after how many heart-beats of SockJS's that did not arrive a client
// is given up.
const missedHeartBeats = 2

// sockJSWebSocketConn is a broker.Transport that knows when it last wrote, and sends
// heart-beats of SockJS's own into silence.
type sockJSWebSocketConn struct {
	*conn
	written atomic.Int64 // UnixNano

	beating sync.Mutex // guards the following
	beat    *time.Timer
	stopped bool
}

func (c *sockJSWebSocketConn) Write(buffers [][]byte) error {
	err := c.conn.Write(buffers)
	c.written.Store(time.Now().UnixNano())
	return err
}

func (c *sockJSWebSocketConn) WriteNow(buffers [][]byte) int {
	n := c.conn.WriteNow(buffers)
	c.written.Store(time.Now().UnixNano())
	return n
}

func (c *sockJSWebSocketConn) startHeartBeat(s *broker.Session, interval time.Duration) {
	c.beating.Lock()
	defer c.beating.Unlock()
	c.beat = time.AfterFunc(interval, func() {
		next := interval - time.Duration(time.Now().UnixNano()-c.written.Load())
		if next <= 0 {
			next = interval
			s.Push(wsSockJSHeartBeat)
		}
		c.beating.Lock()
		defer c.beating.Unlock()
		if !c.stopped {
			c.beat.Reset(next)
		}
	})
}

func (c *sockJSWebSocketConn) stopHeartBeat() {
	c.beating.Lock()
	defer c.beating.Unlock()
	c.stopped = true
	c.beat.Stop()
}

// arrivingReader has the session know how much of a message has come.
type arrivingReader struct {
	io.Reader
	session *broker.Session
	n       int
}

func (r *arrivingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += n
	r.session.Arriving(r.n)
	return n, err
}

// readMessage handles one message of an address: a JSON string, an array of them, or nothing.
func (h *SockJS) readMessage(text bool, r io.Reader, s *broker.Session, address string) error {
	limit := h.reader.maxMessage(s)
	body, err := h.reader.readAll(&arrivingReader{Reader: r, session: s}, address, limit)
	defer h.reader.forget(body, address)
	s.Arriving(0)
	switch {
	case errors.Is(err, errBodyTooLarge):
		return &messageError{websocket.CloseMessageTooBig, h.reader.tooLarge(limit)}
	case errors.Is(err, errTooManyBodies):
		return &messageError{broker.CloseRetry, err.Error()}
	case err != nil:
		return err
	case len(body) == 0:
		return nil
	case text && !utf8.Valid(body):
		return &messageError{websocket.CloseInvalidFramePayloadData, "a text message has to be UTF-8"}
	}
	if body = bytes.Trim(body, jsonSpace); len(body) > 0 && body[0] == '"' && json.Valid(body) {
		body = slices.Concat([]byte("["), body, []byte("]"))
	}
	messages, err := parseMessages(body)
	if err != nil {
		return &messageError{websocket.CloseInvalidFramePayloadData, err.Error()}
	}
	for m := range messages.all() {
		_ = s.Receive(m) // after its end the rest is thrown away
	}
	return nil
}
