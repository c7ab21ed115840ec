package frames_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

func TestDecoderRefusesWhatTheSpecificationForbids(t *testing.T) {
	t.Parallel()
	limits := &frames.Limits{MaxHeaders: 4, MaxHeaderLine: 64, MaxBody: 100}
	long := strings.Repeat("x", 200)
	tests := []struct {
		name    string
		version frames.Version
		raw     string
		code    frames.Code
		says    string
		receipt string
	}{
		{"junk", 0, "GET / HTTP/1.1\r\n", frames.CodeCommand, `"GET" is not a STOMP command`, ""},
		{"junk without a line end", 0, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", frames.CodeCommand, "not a STOMP command", ""},
		{"lower case command", frames.V12, "send\n\n\x00", frames.CodeCommand, `"send"`, ""},
		{"unknown command", frames.V12, "SENT\n\n\x00", frames.CodeCommand, `"SENT"`, ""},
		{"command followed by NUL", frames.V12, "BEGIN\x00", frames.CodeCommand, `"BEGIN."`, ""},
		{"no colon", frames.V12, "SEND\nreceipt:r1\ndestination\n\n\x00", frames.CodeHeader, "no colon", "r1"},
		{"empty name", frames.V12, "SEND\n:x\n\n\x00", frames.CodeHeader, "empty name", ""},
		{"padded empty name", frames.V10, "SEND\n :x\n\n\x00", frames.CodeHeader, "empty name", ""},
		{"headers not closed", frames.V12, "DISCONNECT\nreceipt:9\n\x00", frames.CodeHeader, "NUL byte in the headers", "9"},
		{"NUL in a header", frames.V12, "SEND\na:\x00b\n\nx\x00", frames.CodeHeader, "NUL byte in the headers", ""},
		{"CR LF after the command alone", frames.V11, "SEND\ndestination:/topic/a\n\r\n\x00", frames.CodeHeader, "no colon", ""},
		{"undefined escape", frames.V12, "SEND\nreceipt:r\nkey:a\\tb\n\n\x00", frames.CodeEscape, `STOMP 1.2 defines \r, \n, \c and \\`, "r"},
		{"carriage return escape in 1.1", frames.V11, "SEND\nkey:a\\rb\n\n\x00", frames.CodeEscape, `STOMP 1.1 defines \n, \c and \\`, ""},
		{"escape at the end", frames.V12, "SEND\nkey:a\\\n\n\x00", frames.CodeEscape, "undefined escape", ""},
		{"escape in a name", frames.V12, "SEND\nk\\qey:a\n\n\x00", frames.CodeEscape, "undefined escape", ""},
		{"invalid UTF-8", frames.V12, "SEND\nkey:\xff\xfe\n\n\x00", frames.CodeUTF8, "UTF-8", ""},
		{"long header line", frames.V12, "SEND\nreceipt:r2\nkey:" + long + "\n\n\x00", frames.CodeHeaderLine, "64 bytes", "r2"},
		{"long header line that never ends", frames.V12, "SEND\nkey:" + long, frames.CodeHeaderLine, "64 bytes", ""},
		{"too many headers", frames.V12, "SEND\nreceipt:r3\nb:1\nc:1\nd:1\ne:1\n\n\x00", frames.CodeHeaderCount, "may have 4", "r3"},
		{"body over the limit by content-length", frames.V12, "SEND\nreceipt:r4\ncontent-length:101\n\n", frames.CodeBodySize, "100 bytes", "r4"},
		{"body over the limit without content-length", frames.V12, "SEND\nreceipt:r5\n\n" + long, frames.CodeBodySize, "100 bytes", "r5"},
		{"content-length beyond all numbers", frames.V12, "SEND\ncontent-length:99999999999999999999999\n\n", frames.CodeBodySize, "100 bytes", ""},
		{"content-length too small", frames.V12, "SEND\nreceipt:r6\ncontent-length:2\n\nabc\x00", frames.CodeContentLength, "content-length is 2", "r6"},
		{"content-length not a number", frames.V12, "SEND\ncontent-length:ten\n\nabc\x00", frames.CodeContentLength, `"ten"`, ""},
		{"content-length negative", frames.V12, "SEND\ncontent-length:-1\n\nabc\x00", frames.CodeContentLength, `"-1"`, ""},
		{"content-length empty", frames.V12, "SEND\ncontent-length:\n\nabc\x00", frames.CodeContentLength, "empty", ""},
		{"content-length padded in 1.2", frames.V12, "SEND\ncontent-length: 3\n\nabc\x00", frames.CodeContentLength, `" 3"`, ""},
		{"body on SUBSCRIBE", frames.V12, "SUBSCRIBE\nid:1\nreceipt:r7\n\nbody\x00", frames.CodeBody, "SUBSCRIBE frame must not", "r7"},
		{"body after line feeds", frames.V12, "SUBSCRIBE\nid:1\n\n\n\nbody\x00", frames.CodeBody, "SUBSCRIBE frame must not", ""},
		{"line feeds without end", frames.V10, "BEGIN\ntransaction:t\n\n" + strings.Repeat("\n", 17), frames.CodeBody, "BEGIN frame must not", ""},
		{"receipt with escapes", frames.V12, "SEND\nreceipt:a\\cb\\n\nkey:a\\tb\n\n\x00", frames.CodeEscape, "undefined escape", "a:b\n"},
		{"receipt with escapes, in 1.0", frames.V10, "SEND\nreceipt:a\\cb\nkey\n\n\x00", frames.CodeHeader, "no colon", "a\\cb"},
		{"receipt whose escapes are wrong", frames.V11, "SEND\nreceipt:a\\cb\\r\n\n\x00", frames.CodeEscape, "undefined escape", "a\\cb\\r"},
		{"body on ACK by content-length", frames.V12, "ACK\nid:1\ncontent-length:4\n\nbody\x00", frames.CodeBody, "ACK frame must not", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 5, len(tt.raw)} {
				_, err := decodeInPieces([]byte(tt.raw), size, tt.version, limits)
				var e *frames.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, tt.code, e.Code, "%v", err)
				require.ErrorIs(t, err, &frames.Error{Code: tt.code})
				require.Contains(t, e.Message, tt.says)
				require.Equal(t, tt.receipt, e.Receipt)
				require.NotContains(t, e.Message, "\n")
			}
		})
	}
}

func TestDecoderErrorIsFinal(t *testing.T) {
	t.Parallel()
	d := frames.NewDecoder(&frames.Limits{})
	d.Feed([]byte("nonsense\n"))
	var f frames.Frame
	_, first := d.Next(&f)
	require.Error(t, first)
	d.Feed([]byte("CONNECT\n\n\x00"))
	_, second := d.Next(&f)
	require.Equal(t, first, second)
}

func TestDecoderAppliesTheVersionFromTheNextFrameOn(t *testing.T) {
	t.Parallel()
	d := frames.NewDecoder(&frames.Limits{})
	d.Feed([]byte("CONNECT\npasscode:a\\tb\n\n\x00SEND\nkey:a\\nb\n\n\x00"))
	var f frames.Frame
	ok, err := d.Next(&f)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, `a\tb`, f.Get("passcode"), "CONNECT is never unescaped")
	d.SetVersion(frames.V11)
	ok, err = d.Next(&f)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "a\nb", f.Get("key"))
}

func TestDecoderKeepsNothingBetweenFrames(t *testing.T) {
	t.Parallel()
	d := frames.NewDecoder(&frames.Limits{})
	var f frames.Frame
	d.Feed([]byte("\n\n\nSEND\n"))
	ok, err := d.Next(&f)
	require.NoError(t, err)
	require.False(t, ok)
	require.True(t, d.Partial())
	d.Feed([]byte("\n\x00\n\n"))
	ok, err = d.Next(&f)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = d.Next(&f)
	require.NoError(t, err)
	require.False(t, ok)
	require.False(t, d.Partial())
}

func TestDecodingAFrameCostsOneAllocation(t *testing.T) {
	raw := []byte("SEND\ndestination:/topic/chat.room1\ncontent-type:text/plain\nreceipt:7\nx-one:1\nx-two:2\n\nhello\x00")
	d := frames.NewDecoder(&frames.Limits{})
	d.SetVersion(frames.V12)
	var f frames.Frame
	allocs := testing.AllocsPerRun(1000, func() {
		d.Feed(raw)
		if ok, err := d.Next(&f); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	require.LessOrEqual(t, allocs, 1.0)
}

func TestLargeBodyInManyPiecesIsBoundedByItsSize(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	raw := frames.Append(nil, &frames.Frame{Command: frames.SEND, Headers: frames.Headers{{Name: "destination", Value: "/topic/a"}}, Body: body}, frames.V12)
	got, err := decodeInPieces(raw, 8192, frames.V12, nil)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.True(t, bytes.Equal(body, got[0].Body))
}

func TestReaderReadsAStream(t *testing.T) {
	t.Parallel()
	raw := "\nRECEIPT\nreceipt-id:1\n\n\x00\nRECEIPT\nreceipt-id:2\n\n\x00\n"
	r := frames.NewReader(iotest.OneByteReader(strings.NewReader(raw)), &frames.Limits{})
	var f frames.Frame
	for i := range 2 {
		require.NoError(t, r.Read(&f))
		require.Equal(t, fmt.Sprint(i+1), f.Get("receipt-id"))
	}
	require.Equal(t, io.EOF, r.Read(&f))

	r = frames.NewReader(strings.NewReader("RECEIPT\nrec"), &frames.Limits{})
	require.ErrorIs(t, r.Read(&f), &frames.Error{Code: frames.CodeTruncated})

	broken := errors.New("broken")
	r = frames.NewReader(iotest.ErrReader(broken), &frames.Limits{})
	require.ErrorIs(t, r.Read(&f), broken)
}

func TestDecoderIgnoresLineEndsInPlaceOfABody(t *testing.T) {
	t.Parallel()
	for _, v := range []frames.Version{0, frames.V10, frames.V11, frames.V12} {
		for _, padding := range []string{"\n", "\r\n", "\n\n\n"} {
			raw := "CONNECT\nlogin:guest\n\n" + padding + "\x00BEGIN\ntransaction:t\n\n" + padding + "\x00SEND\ndestination:/topic/a\n\n" + padding + "\x00"
			for _, size := range []int{1, 3, len(raw)} {
				all, err := decodeInPieces([]byte(raw), size, v, &frames.Limits{})
				require.NoError(t, err)
				require.Len(t, all, 3)
				require.Empty(t, all[0].Body)
				require.Empty(t, all[1].Body)
				require.Equal(t, padding, string(all[2].Body), "a SEND has a body")
			}
		}
	}
}

// TestDecoderTakesCRLFOfCommandsInEveryVersion: of programs such as telnet, whose lines
// all end so. In other frames of 1.1, a CR is part of the value.
func TestDecoderTakesCRLFOfCommandsInEveryVersion(t *testing.T) {
	t.Parallel()
	for _, v := range []frames.Version{0, frames.V10, frames.V11, frames.V12} {
		raw := "SEND\r\ndestination:/topic/a\r\nkey:value\r\n\r\nbody\r\n\x00\r\nBEGIN\r\ntransaction:t\r\n\r\n\x00"
		for _, size := range []int{1, 5, len(raw)} {
			all, err := decodeInPieces([]byte(raw), size, v, &frames.Limits{})
			require.NoError(t, err)
			require.Len(t, all, 2)
			require.Equal(t, frames.Headers{{Name: "destination", Value: "/topic/a"}, {Name: "key", Value: "value"}}, all[0].Headers)
			require.Equal(t, "body\r\n", string(all[0].Body))
			require.Equal(t, "t", all[1].Get("transaction"))
		}
	}
	all, err := decodeInPieces([]byte("BEGIN\r\ntransaction:t\r\n\r\n\x00SEND\ndestination:/topic/a\nkey:value\r\n\n\x00"), 7, frames.V11, &frames.Limits{})
	require.NoError(t, err)
	require.Equal(t, "value\r", all[1].Get("key"))
	_, err = decodeInPieces([]byte("SEND\r\nreceipt:r\r\nkey\r\n\r\n\x00"), 1, frames.V11, &frames.Limits{})
	var e *frames.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "r", e.Receipt)
}

// TestDecoderIgnoresTheContentLengthOfWhatHasNoBody: PHP's stomp acknowledges with all
// headers of the MESSAGE.
func TestDecoderIgnoresTheContentLengthOfWhatHasNoBody(t *testing.T) {
	t.Parallel()
	for _, v := range []frames.Version{frames.V10, frames.V11, frames.V12} {
		raw := "ACK\nmessage-id:m\nid:m\ncontent-length:4\n\n\x00\nBEGIN\ntransaction:t\ncontent-length:\n\n\n\x00"
		for _, size := range []int{1, 5, len(raw)} {
			all, err := decodeInPieces([]byte(raw), size, v, &frames.Limits{})
			require.NoError(t, err)
			require.Len(t, all, 2)
			require.Equal(t, "m", all[0].Get("message-id"))
			require.Empty(t, all[0].Body)
			require.Equal(t, "t", all[1].Get("transaction"))
		}
	}
}

func TestConnectVersion(t *testing.T) {
	t.Parallel()
	f := frames.New(frames.CONNECT, " login ", " guest\t", "passcode", " a b ")
	v, err := frames.ConnectVersion(f)
	require.NoError(t, err)
	require.Equal(t, frames.V10, v)
	require.Equal(t, frames.Headers{{Name: "login", Value: "guest"}, {Name: "passcode", Value: "a b"}}, f.Headers)

	f = frames.New(frames.CONNECT, "accept-version", " 1.0, 1.2", "passcode", " a b ")
	v, err = frames.ConnectVersion(f)
	require.NoError(t, err)
	require.Equal(t, frames.V12, v)
	require.Equal(t, " a b ", f.Get("passcode"), "values are as they are since 1.1")

	_, err = frames.ConnectVersion(frames.New(frames.CONNECT, "accept-version", ""))
	require.ErrorIs(t, err, &frames.Error{Code: frames.CodeVersion})
}

// TestAReceiptBehindWhatIsWrongIsFound where it has arrived too.
func TestAReceiptBehindWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"SENT\ndestination:/topic/a\nreceipt:a\\cb\n\nx\x00": "a:b",
		"SENT\r\nreceipt:r\r\n\r\nx\x00":                     "r",
		"SEND\ndestination\nreceipt:r\n\n\x00":               "r",
		"SEND\n:x\nreceipt:r\n\n\x00":                        "r",
		"SENT\n\nreceipt:body\n\x00":                         "",
		"SENT\nreceipt:cut":                                  "",
		"SENT\n\x00SEND\nreceipt:of the next frame\n\n\x00":  "",
	} {
		_, err := decodeInPieces([]byte(raw), len(raw), frames.V12, &frames.Limits{})
		var e *frames.Error
		require.ErrorAs(t, err, &e, "%q", raw)
		require.Equal(t, want, e.Receipt, "%q", raw)
	}
}

// TestTheEndOfAStreamInsideAFrame is an error with what is known of the frame.
func TestTheEndOfAStreamInsideAFrame(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]*frames.Error{
		"":                                nil,
		"\n\r\n":                          nil,
		"SEND\ndestination:/a\n\nx\x00\n": nil,
		"SE":                              {frames.CodeTruncated, "the stream ended inside a frame, after 2 bytes of it; a frame ends in a NUL, also without a body", ""},
		"SEND\nreceipt:r\n\nx":            {frames.CodeTruncated, "the stream ended inside a SEND frame, after 17 bytes of it; a frame ends in a NUL, also without a body", "r"},
		"\nBEGIN\nreceipt:r\n\n":          {frames.CodeTruncated, "the stream ended inside a BEGIN frame, after 17 bytes of it; a frame ends in a NUL, also without a body", "r"},
	} {
		d := frames.NewDecoder(&frames.Limits{})
		d.SetVersion(frames.V12)
		d.Feed([]byte(stream))
		var f frames.Frame
		for ok := true; ok; {
			var err error
			ok, err = d.Next(&f)
			require.NoError(t, err)
		}
		if want == nil {
			require.NoError(t, d.End())
			continue
		}
		require.Equal(t, want, d.End(), "%q", stream)
		require.Equal(t, want, d.End(), "it is final")
		_, err := d.Next(&f)
		require.Equal(t, want, err)
	}
}
