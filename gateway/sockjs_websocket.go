package gateway

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	c := &sockJSWebSocketConn{conn: newConn(ws.NetConn(), sockJSWebSocket{}, r.RemoteAddr, vanishedAfter(h.broker, missedHeartBeats*h.options.HeartBeat))}
	s, err := h.broker.Open(c)
	if err != nil {
		_ = c.SetDeadline(time.Now().Add(refuseTimeout))
		_ = c.Write([][]byte{wsSockJSOpen})
		refuseConn(c.conn, err)
		return
	}
	s.Push(wsSockJSOpen)
	c.startHeartBeat(s, h.options.HeartBeat)
	c.serve(&h.conns, newSockJSReader(h, c, s))
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
