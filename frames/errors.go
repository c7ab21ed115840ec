package frames

import (
	"fmt"
)

// Code names a kind of protocol error. Codes are stable: they label metrics and
// log lines, and docs/errors.md lists them.
type Code string

// The kinds of error that decoding and negotiation can end in.
const (
	CodeCommand       Code = "unknown-command"
	CodeHeader        Code = "malformed-header"
	CodeEscape        Code = "undefined-escape"
	CodeUTF8          Code = "invalid-utf8"
	CodeHeaderLine    Code = "header-line-too-long"
	CodeHeaderCount   Code = "too-many-headers"
	CodeBodySize      Code = "body-too-large"
	CodeBody          Code = "body-not-allowed"
	CodeContentLength Code = "wrong-content-length"
	CodeVersion       Code = "no-common-version"
	CodeHeartBeat     Code = "malformed-heart-beat"
	CodeTruncated     Code = "truncated-frame"
)

// Error is a breach of the protocol by the peer. Its Message is fit to be sent
// to the peer in an ERROR frame: it says what was wrong and what is right.
type Error struct {
	Code    Code
	Message string
	// Receipt is the receipt header of the frame that was wrong, when that
	// header had arrived before the error, for the ERROR's receipt-id.
	Receipt string
}

func (e *Error) Error() string { return "stomp: " + e.Message }

// Is reports whether target is an [*Error] with the same Code, so that
// errors.Is(err, &frames.Error{Code: frames.CodeBody}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// quote shows what a peer sent, made safe for one line of a log or a header in
// any version: what is not printable ASCII becomes a dot, and long text is cut.
func quote[T string | []byte](text T) string {
	const most = 60
	b := []byte{'"'}
	for i := 0; i < len(text) && i < most; i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			c = '.'
		}
		b = append(b, c)
	}
	b = append(b, '"')
	if len(text) > most {
		b = append(b, "..."...)
	}
	return string(b)
}
