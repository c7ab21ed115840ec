package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// seenSession notes what a reader has done with it.
type seenSession struct {
	received []byte
	pongs    [][]byte
	touched  int
	last     []byte
}

func (s *seenSession) Receive(p []byte) error { s.received = append(s.received, p...); return nil }
func (s *seenSession) Touch()                 { s.touched++ }
func (s *seenSession) Push(wire []byte)       { s.pongs = append(s.pongs, wire) }
func (s *seenSession) Detach(error)           {}

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

// readFrames feeds a reader with frames, in pieces of a size.
func readFrames(stream []byte, size int) (*seenSession, error) {
	s := new(seenSession)
	r := &wsReader{session: s, framing: webSocket{}, max: testMax}
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

// frameReaders are the two ways to read a WebSocket's frames.
var frameReaders = map[string]func(stream []byte, size int) (*seenSession, error){
	"stompbox": readFrames, "gorilla": gorillaFrames,
}

// gorillaFrames has gorilla's reader take frames, in pieces of a size.
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
	conn.written.Reset() // the answer to the handshake
	setControlHandlers(ws, s, webSocket{})
	err = readWebSocket(ws, s, webSocket{}, func(text bool, r io.Reader) error {
		m := incoming{text: text, left: testMax}
		return m.read(r, s)
	})
	if s.last == nil && conn.written.Len() > 0 { // gorilla has answered itself
		s.last = conn.written.Bytes()
	}
	return s, err
}

var pieceSizes = []int{1, 2, 3, 5, 7, 13, 125, 1000, 1 << 30}

// TestWebSocketFramesAreReadInPieces of any size: fragments, control frames between them,
// and payloads of all lengths.
func TestWebSocketFramesAreReadInPieces(t *testing.T) {
	t.Parallel()
	var stream, want []byte
	add := func(first byte, payload string) { stream = append(stream, masked(first, payload)...) }
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 124, 125, 126, 127, 1000, 65535, 65536, 70001} {
		payload := string(bytes.Repeat([]byte("0123456789abcde"), n/15+1)[:n])
		add(0x81, payload)
		add(0x82, payload)
		want = append(want, payload+payload...)
	}
	add(0x01, "a\xe2") // a character in two fragments
	add(0x89, "ping")
	add(0x00, "\x82")
	add(0x8a, "pong")
	add(0x00, "")
	add(0x89, "")
	add(0x80, "\xacb")
	add(0x02, "\xff")
	add(0x80, "\xfe")
	add(0x89, string(bytes.Repeat([]byte("p"), 125)))
	want = append(want, "a€b\xff\xfe"...)
	for name, read := range frameReaders {
		for _, size := range pieceSizes {
			s, err := read(stream, size)
			if name == "stompbox" { // the other one reads until the peer has no more
				require.NoError(t, err)
			}
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

// TestWhatIsWrongWithAFrameEndsTheConnection with the code of RFC 6455, and what was whole
// before it counts.
func TestWhatIsWrongWithAFrameEndsTheConnection(t *testing.T) {
	t.Parallel()
	unmasked := []byte{0x81, 1, 'x'}
	long := func(length uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, length), 0, 0, 0, 0)
	}
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for name, c := range map[string]struct {
		stream []byte
		code   int
	}{
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
	} {
		for by, read := range frameReaders {
			code := c.code
			if other, ok := gorillaDiffers[name]; ok && by == "gorilla" {
				code = other
			}
			for _, size := range pieceSizes {
				stream := join(masked(0x82, "before"), c.stream)
				s, err := read(join(stream, masked(0x82, "after")), size)
				if by == "stompbox" {
					require.NoError(t, err, "%s: the rest is read", name)
				}
				require.Equal(t, code, s.code(), "%s: %s", by, name)
				require.True(t, bytes.HasPrefix(s.received, []byte("before")), name)
				require.NotContains(t, string(s.received), "after", name)
				if by == "stompbox" && code == 1009 {
					require.Contains(t, string(s.last[4:]), "splitLargeFrames")
				}
			}
		}
	}
}

// gorillaDiffers has what gorilla's reader makes of frames that both refuse: with another
// code, or, where a length is too large, when as many bytes have come.
var gorillaDiffers = map[string]int{
	"the first bit of a length": 0, "a huge length": 0, "too large": 0, "too large in fragments": 0,
	"half a close code": 1000, "a close whose reason is wrong": 1002,
}

func TestACloseFrameEndsReading(t *testing.T) {
	t.Parallel()
	for payload, code := range map[string]int{
		"": 1000, "\x03\xe8": 1000, "\x03\xe9going away": 1001, "\x03\xeb": 1003, "\x03\xef": 1007, "\x03\xf6": 1014,
		"\x0b\xb8": 3000, "\x13\x87" + string(bytes.Repeat([]byte("r"), 123)): 4999,
	} {
		for by, read := range frameReaders {
			if by == "gorilla" && code == 1014 {
				continue // which was registered later
			}
			for _, size := range pieceSizes {
				s, err := read(append(masked(0x88, payload), masked(0x82, "after")...), size)
				if by == "stompbox" {
					require.ErrorIs(t, err, errLeft)
				} else {
					require.ErrorIs(t, err, io.EOF)
				}
				require.Equal(t, code, s.code())
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

// FuzzWebSocketReader has both readers read the same, in pieces of any size.
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

func (silentSession) Receive([]byte) error { return nil }
func (silentSession) Touch()               {}
func (silentSession) Push([]byte)          {}
func (silentSession) Leave([]byte)         {}
func (silentSession) Detach(error)         {}

// TestReadingAMessageAllocatesNothing: each SEND of each client comes this way.
func TestReadingAMessageAllocatesNothing(t *testing.T) {
	frame := masked(0x82, strings.Repeat("x", 100))
	buffer := make([]byte, len(frame))
	r := &wsReader{session: silentSession{}, max: 1 << 20}
	var err error
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		copy(buffer, frame)
		err = errors.Join(err, r.feed(buffer))
	}))
	require.NoError(t, err)
}
