package gateway_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// clientFrame is a frame of a client whose mask is zero.
func clientFrame(first byte, payload string) []byte {
	return append([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// TestBothReadersServeASession: with compression gorilla reads, and without it the broker's
// own reader does where the system has epoll.
func TestBothReadersServeASession(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{Compression: true, MaxMessage: 1000}})
	for name, c := range map[string]struct {
		frames []byte
		code   int
		reason string
	}{
		"farewell":    {clientFrame(0x88, "\x03\xe9bye"), 1001, ""},
		"no UTF-8":    {clientFrame(0x81, "\xff"), 1007, "a text message has to be UTF-8; send other bytes in a binary message"},
		"no mask":     {[]byte{0x81, 1, 'x'}, 1002, ""},
		"too large":   {append([]byte{0x82, 0xfe, 0x03, 0xe9, 0, 0, 0, 0}, bytes.Repeat([]byte{'\n'}, 1001)...), 1009, "the WebSocket message is too large; split it, as STOMP.js does with splitLargeFrames"},
		"an opcode":   {clientFrame(0x83, ""), 1002, ""},
		"a long ping": {append([]byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...), 1002, ""},
	} {
		for _, compressed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ws, _, err := (&websocket.Dialer{EnableCompression: compressed}).Dial(n.WebSocket, nil)
				require.NoError(t, err)
				defer ws.Close()
				require.NoError(t, ws.SetReadDeadline(time.Now().Add(test.Patience)))
				pongs := make(chan string, 1)
				ws.SetPongHandler(func(data string) error { pongs <- data; return nil })
				write := func(frame []byte) {
					_, err := ws.NetConn().Write(frame)
					require.NoError(t, err)
				}
				write(clientFrame(0x01, connectFrame[:10]))
				write(clientFrame(0x89, "between"))
				write(clientFrame(0x80, connectFrame[10:]))
				_, text, err := ws.ReadMessage()
				require.NoError(t, err)
				require.Contains(t, string(text), "CONNECTED\n")
				require.Equal(t, "between", <-pongs)
				write(c.frames)
				_, _, err = ws.ReadMessage()
				var closed *websocket.CloseError
				require.True(t, errors.As(err, &closed), "%v", err)
				require.Equal(t, c.code, closed.Code)
				if c.reason != "" {
					require.Equal(t, c.reason, closed.Text)
				}
			})
		}
	}
}
