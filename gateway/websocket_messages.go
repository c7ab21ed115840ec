package gateway

import (
	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
)

// wsMessages takes what the messages of a WebSocket carry, of whatever transport. A
// reader calls begin, then expect and write for each frame, and then end or drop.
type wsMessages interface {
	// begin begins a message.
	begin(text, compressed bool)
	// expect is called with the length of a frame, before its payload.
	expect(n int64) error
	// write takes the next bytes, and does not keep them.
	write(p []byte) error
	// end is called when all of a message has come.
	end() error
	// drop frees what is kept of a message that will not be whole. It may be called when
	// there is none.
	drop()
}

// messageError is what is wrong with a message, and with which code the connection ends.
type messageError struct {
	code   broker.CloseCode
	reason string
}

func (e *messageError) Error() string { return e.reason }

// refusal is the error for the log and the metrics.
func (e *messageError) refusal() broker.Refusal {
	r := broker.Refusal{Reason: e.reason}
	if e.code == websocket.CloseMessageTooBig {
		r.Limit = limitMaxMessage
	}
	return r
}

// limitMaxMessage is http.max_message, as metrics name it.
const limitMaxMessage = "max_message"

var (
	errTooBig  = &messageError{websocket.CloseMessageTooBig, "the WebSocket message is too large; split it, as STOMP.js does with splitLargeFrames"}
	errNotUTF8 = &messageError{websocket.CloseInvalidFramePayloadData, "a text message has to be UTF-8; send other bytes in a binary message"}
)

// plainReader reads a WebSocket without extensions, whose messages carry STOMP as it is.
type plainReader struct {
	wsReader
	plain plainMessages // next to its reader: an idle connection holds one piece of memory
}

func newPlainReader(s session, framing broker.Framing, limit int64) *plainReader {
	r := &plainReader{wsReader{session: s, framing: framing}, plainMessages{session: s, max: limit}}
	r.messages = &r.plain
	return r
}

// plainMessages gives a session the bytes of messages as they come.
type plainMessages struct {
	session session
	max     int64 // bytes in a message
	left    int64 // bytes that are allowed yet
	text    bool
	utf8    utf8Checker
}

func (m *plainMessages) begin(text, _ bool) {
	m.text, m.left, m.utf8 = text, m.max, utf8Checker{}
}

func (m *plainMessages) expect(n int64) error {
	if n > m.left {
		return errTooBig
	}
	return nil
}

func (m *plainMessages) write(p []byte) error {
	if m.left -= int64(len(p)); m.left < 0 {
		return errTooBig
	}
	if m.text && !m.utf8.write(p) {
		return errNotUTF8
	}
	if len(p) > 0 {
		_ = m.session.ReceivePart(p) // after its end the rest is thrown away
	}
	return nil
}

func (m *plainMessages) end() error {
	if m.text && !m.utf8.whole() {
		return errNotUTF8
	}
	return nil
}

func (*plainMessages) drop() {}
