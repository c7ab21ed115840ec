package gateway

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"sync"

	"github.com/stompbox/stompbox/broker"
)

// The opcodes and bits of WebSocket frames (RFC 6455, 5.2).
const (
	opContinuation = 0

	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10

	finBit = 0x80
	rsv1   = 0x40 // compressed (RFC 7692)

	maxControl = 125 // bytes in a control frame
)

var (
	wsHeartBeat = appendWS(nil, opText, eol)
	wsPing      = appendWS(nil, opPing, nil)
)

// appendWS appends one unmasked frame, as servers send them.
func appendWS(dst []byte, first byte, payload []byte) []byte {
	dst = append(dst, finBit|first)
	switch n := len(payload); {
	case n <= maxControl:
		dst = append(dst, byte(n))
	case n <= 0xffff:
		dst = append(dst, 126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, 127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	return append(dst, payload...)
}

// webSocket is the framing of a WebSocket: one message for one STOMP frame.
type webSocket struct{}

func (webSocket) Frame(dst, stomp []byte, text bool) []byte {
	return appendWS(dst, opcode(text), stomp)
}

func (webSocket) HeartBeat() []byte { return wsHeartBeat }

func (webSocket) Ping() []byte { return wsPing }

func (webSocket) Close(code broker.CloseCode, reason string) []byte {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	payload = append(payload, truncateUTF8(reason, maxControl-len(payload))...)
	return appendWS(nil, opClose, payload)
}

func opcode(text bool) byte {
	if text {
		return opText
	}
	return opBinary
}

// truncateUTF8 cuts s to at most n bytes, not inside a character.
func truncateUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// deflated is the framing of a WebSocket with permessage-deflate without
// context takeover, so that one compression serves all subscribers.
type deflated struct{ webSocket }

// worthCompressing is how large a frame has to be.
const worthCompressing = 256

type compressor struct {
	buffer bytes.Buffer
	w      *flate.Writer
}

var compressors = sync.Pool{New: func() any {
	c := new(compressor)
	c.w, _ = flate.NewWriter(&c.buffer, flate.BestSpeed)
	return c
}}

func (deflated) Frame(dst, stomp []byte, text bool) []byte {
	if len(stomp) < worthCompressing {
		return appendWS(dst, opcode(text), stomp)
	}
	c := compressors.Get().(*compressor)
	defer compressors.Put(c)
	c.buffer.Reset()
	c.w.Reset(&c.buffer)
	_, _ = c.w.Write(stomp) // a bytes.Buffer does not fail
	_ = c.w.Flush()
	// The flush ends in 00 00 ff ff, which the receiver adds (RFC 7692, 7.2.1).
	payload := bytes.TrimSuffix(c.buffer.Bytes(), []byte{0, 0, 0xff, 0xff})
	return appendWS(dst, rsv1|opcode(text), payload)
}
