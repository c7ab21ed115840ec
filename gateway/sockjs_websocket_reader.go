package gateway

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
)

// sockJSReader reads a WebSocket whose messages carry JSON: a string, an array of them,
// or nothing.
type sockJSReader struct {
	wsReader
	json sockJSIncoming
	conn *sockJSWebSocketConn
}

func newSockJSReader(h *SockJS, c *sockJSWebSocketConn, s *broker.Session) *sockJSReader {
	r := &sockJSReader{
		wsReader{session: s, framing: webSocket{}},
		sockJSIncoming{reader: h.reader, session: s, address: clientaddr.Network(c.RemoteAddr())}, c,
	}
	r.messages = &r.json
	return r
}

func (r *sockJSReader) detach(err error) {
	r.conn.stopHeartBeat()
	r.wsReader.detach(err)
}

// sockJSIncoming keeps a message until it is whole, within the bounds of all sessions.
type sockJSIncoming struct {
	reader  sockJSBodyReader
	session session
	address string // of the client, as limits count it
	limit   int64  // of this message
	body    []byte
	text    bool
	utf8    utf8Checker
}

func (m *sockJSIncoming) begin(text, _ bool) {
	m.text, m.utf8, m.limit = text, utf8Checker{}, m.reader.maxMessage(m.session)
}

func (m *sockJSIncoming) expect(n int64) error {
	if n <= m.limit-int64(len(m.body)) {
		return nil
	}
	m.reader.refused.size.Add(1)
	return &messageError{websocket.CloseMessageTooBig, m.reader.tooLarge(m.limit)}
}

func (m *sockJSIncoming) write(p []byte) error {
	if m.text && !m.utf8.write(p) {
		return errNotUTF8
	}
	for len(p) > 0 {
		var err error
		if m.body, err = m.reader.grow(m.body, m.address, m.limit); err != nil {
			return &messageError{broker.CloseRetry, err.Error()}
		}
		n := copy(m.body[len(m.body):cap(m.body)], p)
		m.body = m.body[:len(m.body)+n]
		p = p[n:]
	}
	m.session.Arriving(len(m.body))
	return nil
}

func (m *sockJSIncoming) end() error {
	m.session.Arriving(0)
	if m.text && !m.utf8.whole() {
		return errNotUTF8
	}
	defer m.drop()
	body := bytes.Trim(m.body, jsonSpace)
	if len(m.body) == 0 {
		return nil
	}
	if len(body) > 0 && body[0] == '"' && json.Valid(body) {
		body = slices.Concat([]byte("["), body, []byte("]"))
	}
	messages, err := m.reader.parse(body, m.address)
	if err != nil {
		return &messageError{websocket.CloseInvalidFramePayloadData, err.Error()}
	}
	messages.receive(m.session, broker.NewWork(m.reader.broker, m.address))
	return nil
}

func (m *sockJSIncoming) drop() {
	m.reader.forget(m.body, m.address)
	m.body = nil
}
