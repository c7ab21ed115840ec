package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
)

// seenSession notes what a reader has done with it.
type seenSession struct {
	received []byte
	pongs    [][]byte
	touched  int
	last     []byte
	reads    []int // how much had been received at the end of each read that brought something
	unread   bool
}

func (s *seenSession) Touch()                               { s.touched++ }
func (s *seenSession) Push(wire []byte)                     { s.pongs = append(s.pongs, wire) }
func (s *seenSession) Arriving(int)                         {}
func (s *seenSession) Connected() bool                      { return true }
func (s *seenSession) Detach(error)                         {}
func (s *seenSession) Refuse(last []byte, _ broker.Refusal) { s.Leave(last) }

func (s *seenSession) ReceivePart(p []byte) error {
	s.received = append(s.received, p...)
	s.unread = true
	return nil
}

func (s *seenSession) EndRead() {
	if s.unread {
		s.reads, s.unread = append(s.reads, len(s.received)), false
	}
}

func (s *seenSession) Leave(last []byte) {
	if s.last == nil {
		s.last = last
	}
}

// code is that of the Close frame that was answered, or 0.
func (s *seenSession) code() int {
	if len(s.last) < 4 {
		return 0
	}
	return int(binary.BigEndian.Uint16(s.last[2:]))
}

// masked is one frame of a client.
func masked(first byte, payload string) []byte {
	return maskedAs(first, payload, len(payload))
}

// maskedAs is a frame that says it has another length.
func maskedAs(first byte, payload string, length int) []byte {
	mask := []byte{0x12, 0x34, 0x56, 0x78}
	frame := []byte{first}
	switch {
	case length <= maxControl:
		frame = append(frame, 0x80|byte(length))
	case length <= 0xffff:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(length))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(length))
	}
	frame = append(frame, mask...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^mask[i%4])
	}
	return frame
}

const testMax = 1 << 20

// frameReader is one way to read a WebSocket's frames.
type frameReader struct {
	newReader     func(s *seenSession) reader
	before, after string // of a message's text, as the transport has it
}

var frameReaders = map[string]frameReader{
	"plain":      {func(s *seenSession) reader { return newPlainReader(s, webSocket{}, testMax) }, "", ""},
	"compressed": {func(s *seenSession) reader { return newDeflatedReader(s, deflated{}, testMax) }, "", ""},
	"sockjs":     {newSockJSTestReader, `["`, `"]`},
}

func newSockJSTestReader(s *seenSession) reader {
	h := &SockJS{options: SockJSOptions{MaxMessage: testMax}, bodies: sockJSBodies{limit: testMax, byAddress: make(map[string]int64)}}
	r := &sockJSReader{wsReader: wsReader{session: s, framing: webSocket{}}, json: sockJSIncoming{reader: sockJSBodyReader{h}, session: s}}
	r.messages = &r.json
	return r
}

// read feeds a reader with frames, in pieces of a size.
func (f frameReader) read(stream []byte, size int) (*seenSession, error) {
	s := new(seenSession)
	r := f.newReader(s)
	stream = bytes.Clone(stream) // which is unmasked in place
	for len(stream) > 0 {
		piece := stream[:min(size, len(stream))]
		if err := r.feed(piece); err != nil {
			return s, err
		}
		stream = stream[len(piece):]
	}
	return s, nil
}

// TestTheMessagesOfOneReadAreOneRead: those of STOMP.js have one frame each, and many come at once.
func TestTheMessagesOfOneReadAreOneRead(t *testing.T) {
	t.Parallel()
	for name, f := range frameReaders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stream []byte
			for i := range 10 {
				stream = append(stream, masked(finBit|opText, fmt.Sprint(f.before, i, f.after))...)
			}
			s, err := f.read(append(stream, masked(finBit|opText, f.before+"x")[:8]...), 1<<20)
			require.NoError(t, err)
			require.Equal(t, "0123456789", string(s.received[:10]))
			require.Len(t, s.reads, 1)
			require.False(t, s.unread)

			s, err = f.read(append(stream, masked(finBit|opClose, "")...), len(stream)/2)
			require.ErrorIs(t, err, errLeft)
			require.Equal(t, []int{5, 10}, s.reads)

			s, err = f.read(append(stream, masked(finBit|0x0f, "")...), 1<<20)
			require.NoError(t, err)
			require.Equal(t, []int{10}, s.reads, "before the connection is refused")
		})
	}
}

func readFrames(stream []byte, size int) (*seenSession, error) {
	return frameReaders["plain"].read(stream, size)
}

// gorillaFrames has gorilla's reader take frames, in pieces of a size, to compare with.
func gorillaFrames(stream []byte, size int) (*seenSession, error) {
	s := new(seenSession)
	r := &http.Request{Method: http.MethodGet, Header: http.Header{
		"Connection": {"upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}}
	conn := &memoryConn{r: bytes.NewReader(stream), size: size}
	ws, err := (&websocket.Upgrader{}).Upgrade(memoryHijacker{conn: conn}, r, nil)
	if err != nil {
		return nil, err
	}
	ws.SetPingHandler(func(data string) error { s.Touch(); s.Push(appendWS(nil, opPong, []byte(data))); return nil })
	ws.SetPongHandler(func(string) error { s.Touch(); return nil })
	ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = websocket.CloseNormalClosure
		}
		s.Leave(webSocket{}.Close(broker.CloseCode(code), ""))
		return nil
	})
	for {
		kind, message, err := ws.NextReader()
		if err != nil {
			return s, err
		}
		m := plainMessages{session: s, max: testMax}
		m.begin(kind == websocket.TextMessage, false)
		buffer := make([]byte, 100)
		for err == nil {
			var n int
			if n, err = message.Read(buffer); n > 0 && m.write(buffer[:n]) != nil {
				return s, errNotUTF8
			}
		}
		if err != io.EOF {
			return s, err
		}
		if err := m.end(); err != nil {
			return s, err
		}
	}
}

var pieceSizes = []int{1, 2, 3, 5, 7, 13, 125, 1000, 1 << 30}

// TestWebSocketFramesAreReadInPieces of any size: fragments, control frames between them,
// and payloads of all lengths.
func TestWebSocketFramesAreReadInPieces(t *testing.T) {
	t.Parallel()
	for name, f := range frameReaders {
		var stream, want []byte
		add := func(first byte, payload string) { stream = append(stream, masked(first, payload)...) }
		for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 124, 125, 126, 127, 1000, 65535, 65536, 70001} {
			payload := string(bytes.Repeat([]byte("0123456789abcde"), n/15+1)[:max(n-len(f.before+f.after), 0)])
			add(0x81, f.before+payload+f.after)
			add(0x82, f.before+payload+f.after)
			want = append(want, payload+payload...)
		}
		add(0x81, "")
		add(0x01, f.before+"a\xe2") // a character in two fragments
		add(0x89, "ping")
		add(0x00, "\x82")
		add(0x8a, "pong")
		add(0x00, "")
		add(0x89, "")
		add(0x80, "\xacb"+f.after)
		want = append(want, "a€b"...)
		if name != "sockjs" { // which carries text
			add(0x02, "\xff")
			add(0x80, "\xfe")
			want = append(want, "\xff\xfe"...)
		}
		add(0x89, string(bytes.Repeat([]byte("p"), 125)))
		for _, size := range pieceSizes {
			s, err := f.read(stream, size)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, s.received), "%s, %d", name, size)
			require.Len(t, s.pongs, 3)
			require.Equal(t, appendWS(nil, opPong, []byte("ping")), s.pongs[0])
			require.Equal(t, []byte{0x8a, 0}, s.pongs[1])
			require.Equal(t, appendWS(nil, opPong, bytes.Repeat([]byte("p"), 125)), s.pongs[2])
			require.Equal(t, 4, s.touched)
			require.Nil(t, s.last)
		}
	}
}

// WrongFrames end a connection with a code.
type WrongFrames struct {
	Stream []byte
	Code   int
}

// AllWrongFrames are wrong on every transport, in one way or another each.
func AllWrongFrames() map[string]WrongFrames {
	unmasked := []byte{0x81, 1, 'x'}
	long := func(length uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, length), 0, 0, 0, 0)
	}
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	return map[string]WrongFrames{
		"no mask":                        {unmasked, 1002},
		"reserved bit 1":                 {masked(0xc1, "x"), 1002},
		"reserved bit 2":                 {masked(0xa1, "x"), 1002},
		"reserved bit 3":                 {masked(0x91, "x"), 1002},
		"a data opcode":                  {masked(0x83, "x"), 1002},
		"a control opcode":               {masked(0x8b, "x"), 1002},
		"a ping in fragments":            {masked(0x09, "x"), 1002},
		"a close in fragments":           {masked(0x08, "\x03\xe8"), 1002},
		"a long ping":                    {masked(0x89, string(make([]byte, 126))), 1002},
		"a continuation of nothing":      {masked(0x80, "x"), 1002},
		"a message within another":       {join(masked(0x01, "x"), masked(0x81, "x")), 1002},
		"the first bit of a length":      {long(1 << 63), 1002},
		"a huge length":                  {long(1<<63 - 1), 1009},
		"125 bytes in the second form":   {append([]byte{0x82, 0xfe, 0, 125, 0, 0, 0, 0}, make([]byte, 125)...), 1002},
		"65535 bytes in the third form":  {append(long(65535), make([]byte, 65535)...), 1002},
		"too large":                      {long(testMax + 1), 1009},
		"too large in fragments":         {join(masked(0x02, "xy"), maskedAs(0x80, "", testMax-1)), 1009},
		"no UTF-8":                       {masked(0x81, "a\xff"), 1007},
		"no UTF-8 in fragments":          {join(masked(0x01, "\xe2"), masked(0x80, "a")), 1007},
		"half a character":               {masked(0x81, "\xe2\x82"), 1007},
		"half a character, in fragments": {join(masked(0x01, "\xe2"), masked(0x80, "")), 1007},
		"a surrogate":                    {masked(0x81, "\xed\xa0\x80"), 1007},
		"half a close code":              {masked(0x88, "\x03"), 1002},
		"close 999":                      {masked(0x88, "\x03\xe7"), 1002},
		"close 1004":                     {masked(0x88, "\x03\xec"), 1002},
		"close 1005":                     {masked(0x88, "\x03\xed"), 1002},
		"close 1006":                     {masked(0x88, "\x03\xee"), 1002},
		"close 1015":                     {masked(0x88, "\x03\xf7"), 1002},
		"close 1016":                     {masked(0x88, "\x03\xf8"), 1002},
		"close 2999":                     {masked(0x88, "\x0b\xb7"), 1002},
		"close 5000":                     {masked(0x88, "\x13\x88"), 1002},
		"a close whose reason is wrong":  {masked(0x88, "\x03\xe8\xff"), 1007},
	}
}

// TestWhatIsWrongWithAFrameEndsTheConnection with the code of RFC 6455, and what was whole
// before it counts.
func TestWhatIsWrongWithAFrameEndsTheConnection(t *testing.T) {
	t.Parallel()
	for by, f := range frameReaders {
		for name, c := range AllWrongFrames() {
			if by == "compressed" && name == "reserved bit 1" {
				continue // a compressed message
			}
			for _, size := range pieceSizes {
				stream := bytes.Join([][]byte{masked(0x82, f.before+"before"+f.after), c.Stream, masked(0x82, f.before+"after"+f.after)}, nil)
				s, err := f.read(stream, size)
				require.NoError(t, err, "%s: the rest is read", name)
				require.Equal(t, c.Code, s.code(), "%s: %s", by, name)
				require.True(t, bytes.HasPrefix(s.received, []byte("before")), name)
				require.NotContains(t, string(s.received), "after", name)
				if c.Code == 1009 && by != "sockjs" {
					require.Contains(t, string(s.last[4:]), "splitLargeFrames")
				}
			}
		}
	}
}

func TestACloseFrameEndsReading(t *testing.T) {
	t.Parallel()
	for payload, code := range map[string]int{
		"": 1000, "\x03\xe8": 1000, "\x03\xe9going away": 1001, "\x03\xeb": 1003, "\x03\xef": 1007, "\x03\xf6": 1014,
		"\x0b\xb8": 3000, "\x13\x87" + string(bytes.Repeat([]byte("r"), 123)): 4999,
	} {
		for by, f := range frameReaders {
			for _, size := range pieceSizes {
				s, err := f.read(append(masked(0x88, payload), masked(0x82, "after")...), size)
				require.ErrorIs(t, err, errLeft)
				require.Equal(t, code, s.code(), by)
				require.Empty(t, s.received)
			}
		}
	}
}

// memoryConn is a connection whose peer has sent all already.
type memoryConn struct {
	net.Conn
	r       *bytes.Reader
	size    int // of the largest piece
	written bytes.Buffer
}

func (c *memoryConn) Read(p []byte) (int, error)       { return c.r.Read(p[:min(len(p), c.size)]) }
func (c *memoryConn) Write(p []byte) (int, error)      { return c.written.Write(p) }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memoryConn) Close() error                     { return nil }

// memoryHijacker gives gorilla a memoryConn.
type memoryHijacker struct {
	http.ResponseWriter
	conn *memoryConn
}

func (h memoryHijacker) Header() http.Header { return http.Header{} }

func (h memoryHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(bytes.NewReader(nil)), bufio.NewWriter(io.Discard)), nil
}

// FuzzWebSocketReader has the reader read the same as gorilla's, in pieces of any size.
func FuzzWebSocketReader(f *testing.F) {
	f.Add([]byte("\x81\x85\x01\x02\x03\x04hello"), uint8(3))
	f.Add(masked(0x89, "ping"), uint8(1))
	f.Add(append(masked(0x01, "a\xe2"), masked(0x80, "\x82\xac")...), uint8(2))
	f.Add(masked(0x88, "\x03\xe8bye"), uint8(9))
	f.Add(maskedAs(0x82, "x", 70000), uint8(4))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		whole, wholeErr := readFrames(stream, 1<<30)
		pieces, err := readFrames(stream, int(size)+1)
		require.Equal(t, errors.Is(wholeErr, errLeft), errors.Is(err, errLeft))
		require.Equal(t, whole.pongs, pieces.pongs)
		require.Equal(t, whole.code(), pieces.code())
		switch whole.code() {
		case 1002, 1007, 1009:
			// How much of the wrong message came before is not said.
			if !errors.Is(wholeErr, errLeft) {
				return
			}
		}
		require.True(t, bytes.Equal(whole.received, pieces.received))
		if inflating, _ := frameReaders["compressed"].read(stream, int(size)+1); inflating.code() == whole.code() {
			require.True(t, bytes.Equal(whole.received, inflating.received))
		}
		if bytes.Contains(whole.last, []byte("shortest form")) {
			return // gorilla takes longer ones
		}
		other, err := gorillaFrames(stream, int(size)+1)
		require.NotNil(t, other, err)
		require.True(t, bytes.Equal(other.received, whole.received), "%q and %q", other.received, whole.received)
		require.Equal(t, other.pongs, whole.pongs)
		if errors.Is(wholeErr, errLeft) && whole.code() != 1014 {
			require.Equal(t, whole.code(), other.code())
		}
	})
}

// silentSession takes everything and keeps nothing.
type silentSession struct{}

func (silentSession) ReceivePart([]byte) error      { return nil }
func (silentSession) EndRead()                      {}
func (silentSession) Arriving(int)                  {}
func (silentSession) Connected() bool               { return true }
func (silentSession) Refuse([]byte, broker.Refusal) {}
func (silentSession) Touch()                        {}
func (silentSession) Push([]byte)                   {}
func (silentSession) Leave([]byte)                  {}
func (silentSession) Detach(error)                  {}

// TestReadingAMessageAllocatesNothing: each SEND of each client comes this way.
func TestReadingAMessageAllocatesNothing(t *testing.T) {
	frame := masked(0x82, strings.Repeat("x", 100))
	buffer := make([]byte, len(frame))
	r := newPlainReader(silentSession{}, webSocket{}, 1<<20)
	var err error
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		copy(buffer, frame)
		err = errors.Join(err, r.feed(buffer))
	}))
	require.NoError(t, err)
}
