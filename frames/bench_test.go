package frames_test

import (
	"bytes"
	"io"
	"testing"

	gostomp "github.com/go-stomp/stomp/v3/frame"

	"github.com/stompbox/stompbox/frames"
)

// benchFrame is what a chat frontend sends.
var benchFrame = []byte("SEND\ndestination:/topic/chat.room1\ncontent-type:application/json\nreceipt:message-12345\ncontent-length:128\n\n" +
	string(bytes.Repeat([]byte("0123456789abcdef"), 8)) + "\x00")

// endless repeats benchFrame, in reads of up to 4 KiB.
type endless struct{ rest []byte }

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(e.rest) == 0 {
			e.rest = benchFrame
		}
		c := copy(p[n:], e.rest)
		e.rest = e.rest[c:]
		n += c
	}
	return n, nil
}

// BenchmarkDecode reads the same stream with this package and with go-stomp.
func BenchmarkDecode(b *testing.B) {
	b.Run("stompbox", func(b *testing.B) {
		r := frames.NewReader(&endless{}, &frames.Limits{})
		r.SetVersion(frames.V12)
		var f frames.Frame
		b.ReportAllocs()
		b.SetBytes(int64(len(benchFrame)))
		for b.Loop() {
			if err := r.Read(&f); err != nil || len(f.Body) != 128 {
				b.Fatal(err)
			}
		}
	})
	b.Run("go-stomp", func(b *testing.B) {
		r := gostomp.NewReader(&endless{})
		b.ReportAllocs()
		b.SetBytes(int64(len(benchFrame)))
		for b.Loop() {
			f, err := r.Read()
			if err != nil || len(f.Body) != 128 {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncode writes the same frame with this package and with go-stomp.
func BenchmarkEncode(b *testing.B) {
	b.Run("stompbox", func(b *testing.B) {
		f := frames.New(frames.MESSAGE, "destination", "/topic/chat.room1", "message-id", "abc-1", "subscription", "sub-0", "content-type", "application/json")
		f.Body = bytes.Repeat([]byte("0123456789abcdef"), 8)
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = frames.Append(buf[:0], f, frames.V12)
		}
	})
	b.Run("go-stomp", func(b *testing.B) {
		f := gostomp.New(frames.MESSAGE, "destination", "/topic/chat.room1", "message-id", "abc-1", "subscription", "sub-0", "content-type", "application/json")
		f.Body = bytes.Repeat([]byte("0123456789abcdef"), 8)
		w := gostomp.NewWriter(io.Discard)
		b.ReportAllocs()
		for b.Loop() {
			if err := w.Write(f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
