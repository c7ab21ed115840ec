package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"strings"
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

// webSocketDoor is a way to open a WebSocket.
type webSocketDoor struct {
	url      string
	compress bool
	sockJS   bool
}

const doorMaxMessage = 1 << 20

// webSocketDoors are all of a node's, with and without compression.
func webSocketDoors(t *testing.T, n *test.Node) map[string]webSocketDoor {
	t.Helper()
	sockJS := "ws" + strings.TrimPrefix(sockJSOf(t, n, gateway.SockJSOptions{MaxMessage: doorMaxMessage, Compression: true}).url, "http")
	return map[string]webSocketDoor{
		"plain":                 {n.WebSocket, false, false},
		"compressed":            {n.WebSocket, true, false},
		"sockjs":                {sockJS + "/000/a/websocket", false, true},
		"sockjs raw":            {sockJS + "/websocket", false, false},
		"sockjs raw compressed": {sockJS + "/websocket", true, false},
	}
}

// text is a message as the door has it.
func (d webSocketDoor) text(text string) string {
	if !d.sockJS {
		return text
	}
	quoted, _ := json.Marshal([]string{text})
	return string(quoted)
}

// openDoor opens a WebSocket, and connects with frames in fragments and a ping between them.
func openDoor(t *testing.T, d webSocketDoor) *websocket.Conn {
	t.Helper()
	ws, answer, err := (&websocket.Dialer{EnableCompression: d.compress}).Dial(d.url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ws.Close() })
	require.Equal(t, d.compress, strings.Contains(answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"))
	require.NoError(t, ws.SetReadDeadline(time.Now().Add(test.Patience)))
	pongs := make(chan string, 1)
	ws.SetPongHandler(func(data string) error { pongs <- data; return nil })
	connect := d.text(connectFrame)
	writeFrames(t, ws, clientFrame(0x01, connect[:10]), clientFrame(0x89, "between"), clientFrame(0x80, connect[10:]))
	for {
		_, text, err := ws.ReadMessage()
		require.NoError(t, err)
		if string(text) == "o" {
			continue
		}
		require.Contains(t, string(text), "CONNECTED")
		require.Equal(t, "between", <-pongs)
		return ws
	}
}

func writeFrames(t *testing.T, ws *websocket.Conn, all ...[]byte) {
	t.Helper()
	_, err := ws.NetConn().Write(bytes.Join(all, nil))
	require.NoError(t, err)
}

// closeFrame reads all messages up to the Close frame, and returns both.
func closeFrame(t *testing.T, ws *websocket.Conn) (messages string, closed *websocket.CloseError) {
	t.Helper()
	for {
		_, text, err := ws.ReadMessage()
		if err != nil && err.Error() == "websocket: bad close code 1014" { // which gorilla does not know
			return messages, &websocket.CloseError{Code: 1014}
		}
		if err != nil {
			require.True(t, errors.As(err, &closed), "%v", err)
			return messages, closed
		}
		messages += string(text)
	}
}

// TestEveryWebSocketEndsAsRFC6455HasIt, at each door: with the code of what is wrong, and its
// reason.
func TestEveryWebSocketEndsAsRFC6455HasIt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{Compression: true, MaxMessage: doorMaxMessage}})
	cases := gateway.AllWrongFrames()
	maps.Copy(cases, map[string]gateway.WrongFrames{
		"a farewell":           {Stream: clientFrame(0x88, "\x03\xe9bye"), Code: 1001},
		"no code":              {Stream: clientFrame(0x88, ""), Code: 1000},
		"a code of later days": {Stream: clientFrame(0x88, "\x03\xf6"), Code: 1014},
		"a code of programs":   {Stream: clientFrame(0x88, "\x13\x87"+strings.Repeat("r", 123)), Code: 4999},
	})
	for door, d := range webSocketDoors(t, n) {
		for name, c := range cases {
			if d.compress && name == "reserved bit 1" {
				continue // a compressed message
			}
			t.Run(door+" "+name, func(t *testing.T) {
				t.Parallel()
				ws := openDoor(t, d)
				writeFrames(t, ws, c.Stream)
				_, closed := closeFrame(t, ws)
				require.Equal(t, c.Code, closed.Code, closed.Text)
				switch c.Code {
				case websocket.CloseMessageTooBig:
					require.Contains(t, closed.Text, "large")
				case websocket.CloseInvalidFramePayloadData:
					require.Contains(t, closed.Text, "UTF-8")
				}
			})
		}
	}
}

// TestAFrameThatIsCutShortIsAnERROR, where the peer ends its side in the middle of it: over
// every door with a Close frame, and by the end of the connection.
func TestAFrameThatIsCutShortIsAnERROR(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{Compression: true}})
	send := "SEND\ndestination:/topic/a\nreceipt:cut\n\nbo"
	wants := func(t *testing.T, text string) {
		t.Helper()
		text = strings.ReplaceAll(text, `\n`, "\n")
		require.Equal(t, 1, strings.Count(text, "ERROR\n"), text)
		require.Contains(t, text, "code:truncated-frame\n")
		require.Contains(t, text, "the stream ended inside a SEND frame")
		require.Contains(t, text, "receipt-id:cut\n")
	}
	for door, d := range webSocketDoors(t, n) {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			ws := openDoor(t, d)
			writeFrames(t, ws, clientFrame(0x81, d.text(send)), clientFrame(0x88, "\x03\xe9"))
			text, closed := closeFrame(t, ws)
			wants(t, text)
			require.Equal(t, websocket.CloseGoingAway, closed.Code)

			ws = openDoor(t, d)
			writeFrames(t, ws, clientFrame(0x81, d.text(send)))
			require.NoError(t, ws.NetConn().(*net.TCPConn).CloseWrite())
			text, closed = closeFrame(t, ws)
			wants(t, text)
			require.Equal(t, websocket.CloseProtocolError, closed.Code)

			// What is whole is no reason for an ERROR.
			ws = openDoor(t, d)
			writeFrames(t, ws, clientFrame(0x81, d.text(send+"dy\x00\n")), clientFrame(0x88, "\x03\xe8"))
			text, closed = closeFrame(t, ws)
			require.Contains(t, text, "receipt-id:cut")
			require.NotContains(t, text, "ERROR")
			require.Equal(t, websocket.CloseNormalClosure, closed.Code)
		})
	}
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		for _, cut := range []string{send, "SEND\ndestination:/topic/a\nreceipt:cut\ncontent-length:5\n\nbo\x00"} {
			c := test.DialTCP(t, n).Connect()
			c.Raw("SEND\ndestination:/queue/cut\nreceipt:whole\n\nx\x00" + cut)
			c.HalfClose()
			c.Receipt("whole")
			f := c.Expect("ERROR")
			require.Equal(t, "truncated-frame", f.Get("code"))
			require.Equal(t, "cut", f.Get("receipt-id"))
			c.Closed()
		}
		c := test.DialTCP(t, n)
		c.Raw("CONN")
		c.HalfClose()
		require.Contains(t, c.Expect("ERROR").Get("message"), "inside a frame, after 4 bytes of it")
	})
}

// TestAMessageThatIsCutShortIsAnERROR, where its transport needs all of it.
func TestAMessageThatIsCutShortIsAnERROR(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{Compression: true}})
	doors := webSocketDoors(t, n)
	for door, part := range map[string][]byte{
		"sockjs":                clientFrame(0x01, `["SEND\n`),
		"compressed":            clientFrame(0x41, "\x00\x05\x00"),
		"sockjs raw compressed": clientFrame(0x41, "\x00\x05\x00"),
	} {
		ws := openDoor(t, doors[door])
		writeFrames(t, ws, part, clientFrame(0x88, "\x03\xe8"))
		text, closed := closeFrame(t, ws)
		require.Contains(t, text, "the connection ended inside a message", door)
		require.Equal(t, websocket.CloseNormalClosure, closed.Code)
	}
}
