package gateway_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// TestSockJSEscapesWhatBrowsersChange, and reads what they escape.
func TestSockJSEscapesWhatBrowsersChange(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	var text, escaped strings.Builder
	for _, r := range [][2]rune{{1, 0x1f}, {0x200c, 0x200f}, {0x2028, 0x202f}, {0x2060, 0x206f}, {0xfff0, 0xffff}} {
		for c := r[0]; c <= r[1]; c++ {
			text.WriteRune(c)
			switch c {
			case '\n', '\r', '\t':
				escaped.WriteString(strings.Trim(strconv.Quote(string(c)), `"`))
			default:
				fmt.Fprintf(&escaped, `\u%04x`, c)
			}
		}
	}
	plain := "é \u007f\u2000\u2027\u2030\u205f\u2070\uffef€\U0001F600<&>/"
	text.WriteString(plain + `"\`)
	escaped.WriteString(plain + `\"\\`)
	p := server.poller("/000/a").connect().subscribe("/topic/a")
	p.send(frames.SEND, "destination", "/topic/a", text.String())
	body := p.next()
	require.Contains(t, body, `\n\n`+escaped.String()+`\u0000"]`)
	ws := server.dial("/000/b/websocket")
	ws.want("o")
	ws.connect().subscribe("/topic/a")
	ws.send(frames.SEND, "destination", "/topic/a", text.String())
	require.Contains(t, ws.next(), `\n\n`+escaped.String()+`\u0000"]`)
	p.next()

	// All of the lower plane, as escapes: what is no character is replaced.
	var message strings.Builder
	want := make([]rune, 0, 1<<16)
	for c := rune(1); c <= 0xffff; c++ {
		fmt.Fprintf(&message, `\u%04x`, c)
		if c >= 0xd800 && c <= 0xdfff {
			want = append(want, '\ufffd')
		} else {
			want = append(want, c)
		}
	}
	frame := `["SEND\ndestination:/topic/a\n\n` + message.String() + `\u0000"]`
	// High surrogates followed by low ones are one character.
	all := strings.Replace(frame, `\udbff\udc00`, `\udbff-\udc00`, 1)
	require.Equal(t, 204, server.do("POST", p.path+"/xhr_send", all).status)
	var got []string
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(p.next(), "a")), &got))
	_, received, _ := strings.Cut(strings.TrimSuffix(got[0], "\x00"), "\n\n")
	characters := []rune(strings.Replace(received, "\ufffd-\ufffd", "\ufffd\ufffd", 1))
	require.Equal(t, len(want), len(characters))
	for i, r := range characters {
		require.Equal(t, want[i], r, "at %x", i+1)
	}
}

// TestSockJSCarriesText: what is not UTF-8 is replaced, and the length is right again.
func TestSockJSCarriesText(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{})
	p := server.poller("/000/a").connect().subscribe("/topic/a")
	ws := server.dial("/000/b/websocket")
	ws.want("o")
	ws.connect().subscribe("/topic/a")
	sender := test.Dial(t, n).Connect()
	for sent, arrives := range map[string]string{"a\xffb\xc3": "a\ufffdb\ufffd", "nul\x00nul\xfe": "nul\x00nul\ufffd", "é\x00": "é\x00"} {
		sender.Send(frames.SEND, "destination", "/topic/a", "x", "content-length:9", "content-length", strconv.Itoa(len(sent)), sent)
		for _, text := range []string{p.next(), ws.next()} {
			var messages []string
			require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(text, "a")), &messages))
			f := new(frames.Frame)
			decoder := frames.NewDecoder(new(frames.Limits))
			decoder.SetVersion(frames.V12)
			decoder.Feed([]byte(messages[0]))
			whole, err := decoder.Next(f)
			require.NoError(t, err, "%q", messages[0])
			require.True(t, whole)
			require.Equal(t, arrives, string(f.Body))
			require.Equal(t, "content-length:9", f.Get("x"))
			require.Equal(t, strconv.Itoa(len(arrives)), f.Get(frames.ContentLength))
		}
	}
}
