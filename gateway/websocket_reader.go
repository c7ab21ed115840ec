package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
)

// session is what a reader needs of a [broker.Session].
type session interface {
	ReceivePart(p []byte) error
	EndRead()
	Arriving(n int)
	Touch()
	Connected() bool
	Push(wire []byte)
	Leave(last []byte)
	Refuse(last []byte, why broker.Refusal)
	Detach(reason error)
}

// wsReader reads the frames of a WebSocket (RFC 6455, 5) as they come in pieces. It
// keeps no buffer except for a control frame that is not whole yet, so an idle connection
// holds nothing.
type wsReader struct {
	session  session
	framing  broker.Framing
	messages wsMessages
	deflate  bool // messages may be compressed

	control []byte // of a control frame that came in pieces
	payload int64  // bytes of the frame that are still to come
	mask    [4]byte
	head    [maxWSHead]byte
	headLen uint8
	masked  uint8 // bytes of the payload that have come, modulo 4
	first   byte  // of the frame's head
	state   wsState
	open    bool // a message is not whole yet
}

type wsState uint8

const (
	wsHead    wsState = iota // of a frame
	wsPayload                // of a frame
	wsDiscard                // the session has ended: nothing that comes counts
)

// maxWSHead is the longest head of a frame: two bytes, a length and a mask.
const maxWSHead = 2 + 8 + 4

// errLeft is that of a peer that has sent a close frame: the answer is on its way.
var errLeft = errors.New("gateway: the peer has sent a Close frame")

// feed takes the bytes of a read, which it changes. After an error none may follow.
func (r *wsReader) feed(p []byte) error {
	defer r.session.EndRead()
	for len(p) > 0 {
		var err error
		switch r.state {
		case wsHead:
			p, err = r.readHead(p)
		case wsPayload:
			p, err = r.readPayload(p)
		case wsDiscard:
			return nil
		}
		if err == nil {
			continue
		}
		if wrong, ok := errors.AsType[*messageError](err); ok {
			r.messages.drop()
			r.session.Refuse(r.framing.Close(wrong.code, wrong.reason), wrong.refusal())
			r.state = wsDiscard // so that the peer can read the last frames
			return nil
		}
		return err
	}
	return nil
}

// detach ends the session when the connection has ended.
func (r *wsReader) detach(err error) {
	if errors.Is(err, errLeft) || r.state == wsDiscard {
		err = io.EOF
	}
	r.messages.drop()
	r.session.Detach(err)
}

func wsError(reason string) error { return &messageError{broker.CloseProtocol, reason} }

// readHead takes bytes of a frame's head, and returns the rest.
func (r *wsReader) readHead(p []byte) ([]byte, error) {
	for len(p) > 0 {
		r.head[r.headLen] = p[0]
		r.headLen++
		p = p[1:]
		if r.headLen == 2 {
			if err := r.checkHead(r.head[0], r.head[1]); err != nil {
				return nil, err
			}
		}
		if r.headLen >= 2 && int(r.headLen) == wsHeadLen(r.head[1]) {
			break
		}
	}
	if r.headLen < 2 || int(r.headLen) < wsHeadLen(r.head[1]) {
		return nil, nil
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	if r.payload == 0 {
		return p, r.endFrame()
	}
	return p, nil
}

// wsHeadLen is how long the head of a masked frame is.
func wsHeadLen(second byte) int {
	switch second &^ finBit {
	case 126:
		return 2 + 2 + 4
	case 127:
		return 2 + 8 + 4
	}
	return 2 + 4
}

// leastOf returns the shortest payload that a frame with a head of a length has (5.2).
func leastOf(headLen int) int64 {
	switch headLen {
	case 2 + 2 + 4:
		return maxControl + 1
	case maxWSHead:
		return math.MaxUint16 + 1
	}
	return 0
}

// checkHead looks at the first two bytes of a frame (5.2, 5.4, 5.5).
func (r *wsReader) checkHead(first, second byte) error {
	opcode, length := first&0x0f, second&^finBit
	if r.deflate && (opcode == opText || opcode == opBinary) {
		first &^= rsv1
	}
	switch {
	case first&0x70 != 0:
		return wsError("a reserved bit of a WebSocket frame is set that no extension was agreed to for")
	case second&finBit == 0:
		return wsError("a WebSocket frame of a client has to be masked")
	case opcode >= opClose && (first&finBit == 0 || length > maxControl):
		return wsError("a WebSocket control frame has up to 125 bytes, and no fragments")
	}
	switch opcode {
	case opContinuation:
		if !r.open {
			return wsError("a WebSocket frame continues a message, and there is none")
		}
	case opText, opBinary:
		if r.open {
			return wsError("a WebSocket message begins within another")
		}
	case opClose, opPing, opPong:
	default:
		return wsError("a WebSocket frame has an opcode that is not defined")
	}
	return nil
}

// begin begins a frame whose head is whole.
func (r *wsReader) begin() error {
	n := int(r.headLen)
	r.first, r.headLen, r.masked, r.state = r.head[0], 0, 0, wsPayload
	copy(r.mask[:], r.head[n-4:n])
	switch n {
	case 2 + 4:
		r.payload = int64(r.head[1] &^ finBit)
	case 2 + 2 + 4:
		r.payload = int64(binary.BigEndian.Uint16(r.head[2:]))
	default:
		length := binary.BigEndian.Uint64(r.head[2:])
		if length>>63 != 0 {
			return wsError("the length of a WebSocket frame has its first bit set")
		}
		r.payload = int64(length)
	}
	if r.payload < leastOf(n) {
		return wsError("the length of a WebSocket frame is not in its shortest form")
	}
	if r.first&0x0f >= opClose {
		return nil
	}
	if r.first&0x0f != opContinuation {
		r.open = true
		r.messages.begin(r.first&0x0f == opText, r.first&rsv1 != 0)
	}
	return r.messages.expect(r.payload)
}

// readPayload takes bytes of a frame's payload, and returns the rest.
func (r *wsReader) readPayload(p []byte) ([]byte, error) {
	part := p[:min(int64(len(p)), r.payload)]
	rest := p[len(part):]
	r.unmask(part)
	r.payload -= int64(len(part))
	if r.first&0x0f < opClose {
		if err := r.messages.write(part); err != nil || r.payload > 0 {
			return nil, err
		}
		return rest, r.endFrame()
	}
	if r.payload > 0 || r.control != nil {
		r.control = append(r.control, part...)
	}
	if r.payload > 0 {
		return nil, nil
	}
	if r.control != nil {
		part, r.control = r.control, nil
	}
	r.state = wsHead
	return rest, r.handleControl(part)
}

func (r *wsReader) unmask(p []byte) {
	mask := r.mask
	if at := int(r.masked); at != 0 {
		for i := range mask {
			mask[i] = r.mask[(at+i)%4]
		}
	}
	r.masked = uint8((int(r.masked) + len(p)) % 4)
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^word)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= mask[i%4]
	}
}

// endFrame ends a frame whose payload is whole.
func (r *wsReader) endFrame() error {
	r.state = wsHead
	switch opcode := r.first & 0x0f; {
	case opcode >= opClose:
		return r.handleControl(nil)
	case r.first&finBit == 0:
		return nil
	}
	r.open = false
	return r.messages.end()
}

// handleControl answers a control frame. Answers go through the session's outbox, which
// is all that writes to the connection.
func (r *wsReader) handleControl(payload []byte) error {
	switch r.first & 0x0f {
	case opPing:
		r.session.Touch()
		r.session.Push(appendWS(nil, opPong, payload))
		return nil
	case opPong:
		r.session.Touch()
		return nil
	}
	code := broker.CloseNormal
	switch {
	case len(payload) == 1:
		return wsError("a WebSocket Close frame has half a code")
	case len(payload) > 1:
		code = broker.CloseCode(binary.BigEndian.Uint16(payload))
		if !closeCodeAllowed(code) {
			return wsError("a WebSocket Close frame has a code that may not be sent")
		}
		if !utf8.Valid(payload[2:]) {
			return &messageError{websocket.CloseInvalidFramePayloadData, "the reason of a WebSocket Close frame has to be UTF-8"}
		}
	}
	r.session.Leave(r.framing.Close(code, ""))
	return errLeft
}

// closeCodeAllowed reports whether a peer may send a code (7.4, and IANA's registry).
func closeCodeAllowed(code broker.CloseCode) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}
