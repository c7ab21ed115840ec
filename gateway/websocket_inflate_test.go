package gateway

import (
	"bytes"
	"compress/flate"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// deflateMessage compresses a message as RFC 7692 has it.
func deflateMessage(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// TestCompressedMessagesAreInflatedInPieces of any size, in fragments, with control frames
// and plain messages between them, and with the blocks of RFC 7692's examples.
func TestCompressedMessagesAreInflatedInPieces(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 50_000)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise)
	var stream []byte
	var want string
	add := func(first byte, payload, text string) {
		stream = append(stream, masked(first, payload)...)
		want += text
	}
	for _, text := range []string{"", "a", "hä €", strings.Repeat("compress me ", 20_000)} {
		add(0xc1, deflateMessage(t, text), text)
		add(0x81, text, text)
	}
	add(0xc2, deflateMessage(t, string(noise)), string(noise))
	add(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello")                         // 7.2.3.1
	add(0xc1, "\x00\x05\x00\xfa\xffHello\x00", "Hello")                        // 7.2.3.3
	add(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello")                     // 7.2.3.4
	add(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello") // 7.2.3.5
	add(0xc1, "\x00", "")                                                      // 7.2.3.6
	euro := deflateMessage(t, "a€b")
	add(0x41, euro[:3], "")
	add(0x89, "ping", "")
	add(0x00, euro[3:4], "")
	add(0x80, euro[4:], "a€b")
	for _, size := range pieceSizes {
		s, err := frameReaders["compressed"].read(stream, size)
		require.NoError(t, err)
		require.Nil(t, s.last, "%q", s.last)
		require.True(t, string(s.received) == want, size)
		require.Len(t, s.pongs, 1)
	}
}

// TestWhatIsWrongWithACompressedMessage ends the connection with the code of what it is,
// and no coroutine is left.
func TestWhatIsWrongWithACompressedMessage(t *testing.T) {
	t.Parallel()
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for name, c := range map[string]WrongFrames{
		"no DEFLATE":                {masked(0xc1, "\xff\xff\xff"), 1007},
		"text after the last block": {masked(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x07"), 1007},
		"no UTF-8":                  {masked(0xc1, deflateMessage(t, "a\xff")), 1007},
		"half a character":          {masked(0xc1, deflateMessage(t, "a\xe2\x82")), 1007},
		"large once it is inflated": {masked(0xc2, deflateMessage(t, strings.Repeat("\n", testMax+1))), 1009},
		"large on the wire":         {join(masked(0x42, "xy"), maskedAs(0x80, "", testMax-1)), 1009},
		"a compressed ping":         {masked(0xc9, "x"), 1002},
		"a compressed close":        {masked(0xc8, "\x03\xe8"), 1002},
		"a compressed continuation": {join(masked(0x41, deflateMessage(t, "x")), masked(0xc0, "")), 1002},
		"reserved bits 1 and 2":     {masked(0xe1, "x"), 1002},
		"reserved bits 1 and 3":     {masked(0xd1, "x"), 1002},
		"another message within":    {join(masked(0x41, "\xf2"), masked(0xc1, "\xf2")), 1002},
	} {
		for _, size := range pieceSizes {
			s, err := frameReaders["compressed"].read(join(masked(0xc2, deflateMessage(t, "before")), c.Stream, masked(0x82, "after")), size)
			require.NoError(t, err)
			require.Equal(t, c.Code, s.code(), name)
			require.True(t, bytes.HasPrefix(s.received, []byte("before")), name)
			require.NotContains(t, string(s.received), "after", name)
		}
	}
}

// TestACompressedMessageThatIsNotWholeIsRefused, wherever it was cut, and is not continued with
// the next one. Bytes that do not compress are in a block of their own kind.
func TestACompressedMessageThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 600)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for name, text := range map[string]string{
		"short": "SEND", "text": strings.Repeat("compress me ", 100) + "and me", "noise": string(noise),
	} {
		whole := deflateMessage(t, text)
		for size := 1; size < len(whole); size++ {
			if name == "noise" && (size == 1 || len(whole)-size == 5) {
				continue // an empty message; one whose missing bytes are those that all are sent without
			}
			s, err := frameReaders["compressed"].read(append(masked(0xc2, whole[:size]), masked(0x82, "after")...), 1<<30)
			require.NoError(t, err)
			require.Equal(t, 1007, s.code(), "%s: %d of %d bytes", name, size, len(whole))
			require.NotContains(t, string(s.received), "after")
		}
		s, err := frameReaders["compressed"].read(append(masked(0xc2, whole), masked(0x82, "after")...), 1<<30)
		require.NoError(t, err)
		require.Zero(t, s.code(), name)
		require.Equal(t, text+"after", string(s.received), name)
	}
}

// TestAConnectionEndsInsideACompressedMessage: the coroutine that inflates it ends, which
// the package's check for goroutines would find.
func TestAConnectionEndsInsideACompressedMessage(t *testing.T) {
	t.Parallel()
	compressed := deflateMessage(t, strings.Repeat("compress me ", 100))
	for size := range len(compressed) {
		s := new(seenSession)
		r := newDeflatedReader(s, deflated{}, testMax)
		require.NoError(t, r.feed(masked(0x41, compressed[:size])))
		r.detach(nil)
	}
}

// TestOnlyWhatCanBeAgreedToIsAgreedTo of the offers of compression.
func TestOnlyWhatCanBeAgreedToIsAgreedTo(t *testing.T) {
	t.Parallel()
	for offer, agreed := range map[string]bool{
		"permessage-deflate":                         true,
		"permessage-deflate; client_max_window_bits": true, // as browsers do
		"permessage-deflate; server_no_context_takeover; client_max_window_bits=\"9\"": true,
		"x-webkit-deflate-frame, permessage-deflate;client_no_context_takeover":        true,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":            true, // the second one
		"": false, "x-permessage-deflate": false, "permessage-deflatex": false,
		"permessage-deflate; server_max_window_bits=10":                              false,
		"permessage-deflate; client_max_window_bits=7":                               false,
		"permessage-deflate; client_max_window_bits=":                                false,
		"permessage-deflate; server_no_context_takeover=1":                           false,
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover": false,
		"permessage-deflate; unknown":                                                false,
	} {
		require.Equal(t, agreed, offersDeflate(http.Header{"Sec-Websocket-Extensions": {offer}}), offer)
	}
}

// FuzzInflater has an inflater that is fed in pieces make the same of a message as one
// that is fed at once.
func FuzzInflater(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), uint8(1))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), uint8(2))
	f.Add([]byte(deflateMessage(f, strings.Repeat("abc", 1000))), uint8(7))
	f.Fuzz(func(t *testing.T, message []byte, size uint8) {
		stream := masked(0xc2, string(message))
		whole, err := frameReaders["compressed"].read(stream, 1<<30)
		require.NoError(t, err)
		pieces, err := frameReaders["compressed"].read(stream, int(size)+1)
		require.NoError(t, err)
		require.Equal(t, whole.code(), pieces.code())
		require.True(t, whole.code() != 0 || bytes.Equal(whole.received, pieces.received))
	})
}

func BenchmarkInflate(b *testing.B) {
	frame := masked(0xc1, deflateMessage(b, strings.Repeat("compress me ", 100)))
	buffer := make([]byte, len(frame))
	r := newDeflatedReader(silentSession{}, deflated{}, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		copy(buffer, frame)
		if err := r.feed(buffer); err != nil {
			b.Fatal(err)
		}
	}
}
