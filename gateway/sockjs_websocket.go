package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
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
	c := &sockJSWebSocketConn{conn: conn{Conn: ws.NetConn(), framing: sockJSWebSocket{}, remote: r.RemoteAddr}}
	s, err := h.broker.Open(c)
	if err != nil {
		_ = c.SetDeadline(time.Now().Add(refuseTimeout))
		_ = c.Write([][]byte{wsSockJSOpen})
		refuseConn(&c.conn, err)
		return
	}
	s.Push(wsSockJSOpen)
	setControlHandlers(ws, s, webSocket{})
	c.startHeartBeat(s, h.options.HeartBeat)
	h.conns.Go(func() {
		defer c.stopHeartBeat()
		s.Detach(h.readWebSocket(ws, s))
	})
}

// sockJSWebSocketConn is a broker.Transport that knows when it last wrote, and sends
// heart-beats of SockJS's own into silence.
type sockJSWebSocketConn struct {
	conn
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

// readWebSocket reads until the connection ends, and returns why it did.
func (h *SockJS) readWebSocket(ws *websocket.Conn, s *broker.Session) error {
	for {
		_, r, err := ws.NextReader()
		if err == nil {
			err = h.readMessage(r, s)
		}
		var closed *websocket.CloseError
		var wrong *wrongMessage
		if errors.As(err, &wrong) {
			s.Leave(webSocket{}.Close(wrong.code, wrong.reason))
		}
		if wrong != nil || errors.As(err, &closed) {
			// The last frames are on their way, and the peer closes when it has them.
			return readNothing(ws.NetConn())
		}
		if err != nil {
			return err
		}
	}
}

// wrongMessage is why a message ends its connection.
type wrongMessage struct {
	code   broker.CloseCode
	reason string
}

func (m *wrongMessage) Error() string { return m.reason }

// readMessage handles one message: a JSON string, an array of them, or nothing.
func (h *SockJS) readMessage(r io.Reader, s *broker.Session) error {
	limit := h.maxMessage(s)
	body, err := h.readAll(r, limit)
	defer h.forget(body)
	switch {
	case errors.Is(err, errBodyTooLarge):
		return &wrongMessage{websocket.CloseMessageTooBig, h.tooLarge(limit)}
	case errors.Is(err, errTooManyBodies):
		return &wrongMessage{broker.CloseRetry, err.Error()}
	case err != nil:
		return err
	case len(body) == 0:
		return nil
	case !utf8.Valid(body):
		return &wrongMessage{websocket.CloseInvalidFramePayloadData, "the message is not valid UTF-8"}
	}
	messages, err := parseMessages(body)
	var message string
	if err != nil && json.Unmarshal(body, &message) == nil {
		messages, err = []string{message}, nil
	}
	if err != nil {
		return &wrongMessage{websocket.CloseInvalidFramePayloadData, err.Error()}
	}
	for _, m := range messages {
		_ = s.Receive([]byte(m)) // after its end the rest is thrown away
	}
	return nil
}
