package gateway

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
)

// The frames of SockJS that carry no message.
var (
	sockJSOpen        = []byte("o")
	sockJSHeartBeat   = []byte("h")
	sockJSGoAway      = []byte(`c[3000,"Go away!"]`)
	sockJSTwice       = []byte(`c[2010,"Another connection still open"]`)
	sockJSInterrupted = []byte(`c[1002,"Connection interrupted"]`)
)

// sockJSText is the framing of SockJS over HTTP: a STOMP frame is a JSON string, and an
// answer makes an array of several.
type sockJSText struct{ session *sockJSSession }

func (sockJSText) Frame(dst, stomp []byte, text bool) []byte {
	return appendMessage(dst, stomp, text)
}

var jsonEOL = []byte(`"\n"`)

func (sockJSText) HeartBeat() []byte { return jsonEOL }

// Ping completes a poll. The client's next one, which needs no timer of the page, is the
// answer. A client that streams answers nothing.
func (f sockJSText) Ping() []byte {
	if f.session.polls.Load() {
		return jsonEOL
	}
	return nil
}

// Close returns nothing: a session that has ended says so to each request.
func (sockJSText) Close(broker.CloseCode, string) []byte { return nil }

// sockJSWebSocket is the framing of SockJS over WebSocket.
type sockJSWebSocket struct{}

var (
	wsSockJSOpen      = appendWS(nil, opText, sockJSOpen)
	wsSockJSHeartBeat = appendWS(nil, opText, sockJSHeartBeat)
	wsSockJSEOL       = appendWS(nil, opText, []byte(`a["\n"]`))
)

func (sockJSWebSocket) Frame(dst, stomp []byte, text bool) []byte {
	payload := make([]byte, 0, len(stomp)+len(stomp)/8+32)
	payload = append(payload, "a["...)
	payload = appendMessage(payload, stomp, text)
	return appendWS(dst, opText, append(payload, ']'))
}

func (sockJSWebSocket) HeartBeat() []byte { return wsSockJSEOL }

func (sockJSWebSocket) Ping() []byte { return wsPing }

// Close tells both who speaks SockJS and who only looks at the WebSocket.
func (sockJSWebSocket) Close(code broker.CloseCode, reason string) []byte {
	return append(appendWS(nil, opText, sockJSGoAway), webSocket{}.Close(code, reason)...)
}

// appendMessage appends a STOMP frame as a JSON string.
func appendMessage(dst, stomp []byte, text bool) []byte {
	if !text {
		stomp = validText(stomp)
	}
	return appendJSON(dst, stomp)
}

// validText returns a STOMP frame with replacement characters for what is not UTF-8 in
// its body, and with the content-length that it has then.
func validText(stomp []byte) []byte {
	if utf8.Valid(stomp) {
		return stomp
	}
	head, body, _ := bytes.Cut(stomp, []byte("\n\n"))
	body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	valid := make([]byte, 0, len(head)+len(body)+16)
	for line := range bytes.Lines(head) {
		if !bytes.HasPrefix(line, []byte(frames.ContentLength+":")) {
			valid = append(valid, line...)
			continue
		}
		valid = append(valid, frames.ContentLength+":"...)
		valid = strconv.AppendInt(valid, int64(len(body)-1), 10) // without the NUL
		if line[len(line)-1] == '\n' {
			valid = append(valid, '\n')
		}
	}
	valid = append(valid, "\n\n"...)
	return append(valid, body...)
}

const hexDigits = "0123456789abcdef"

// appendJSON appends text, which is valid UTF-8, as a JSON string. It escapes what
// browsers are known to change on its way, too.
func appendJSON(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c != firstOfU2000 && c != firstOfUF000 {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if i += size; mangled(r) {
				dst = append(dst, text[start:i-size]...)
				dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
				start = i
			}
			continue
		}
		dst = append(dst, text[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	return append(append(dst, text[start:]...), '"')
}

// The first bytes of all characters that mangled is about, in UTF-8.
const (
	firstOfU2000 = 0xe2
	firstOfUF000 = 0xef
)

// mangled reports whether browsers may change a character: those that sockjs-protocol
// has servers escape.
func mangled(r rune) bool {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x2028 && r <= 0x202f, r >= 0x2060 && r <= 0x206f, r >= 0xfff0 && r <= 0xffff:
		return true
	}
	return false
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendQuoted appends JSON as the inside of a string of a script, which may stand in a
// page: without an end of it.
func appendQuoted(dst, json []byte) []byte {
	for _, c := range json {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '<', '>', '&':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
