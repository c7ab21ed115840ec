package gateway_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// rawWebSocket is a WebSocket whose frames a test writes by itself.
type rawWebSocket struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dialRaw(t *testing.T, n *test.Node) *rawWebSocket {
	t.Helper()
	host := strings.TrimPrefix(n.WebSocket, "ws://")
	c, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(test.Patience)))
	_, err = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", host)
	require.NoError(t, err)
	w := &rawWebSocket{c, bufio.NewReader(c), t}
	answer, err := http.ReadResponse(w.r, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	_ = answer.Body.Close()
	return w
}

// send writes one frame with a mask of zeros, which leaves the payload as it is.
func (w *rawWebSocket) send(first byte, payload string) {
	w.t.Helper()
	head := []byte{first, 0x80 | 126}
	head = binary.BigEndian.AppendUint16(head, uint16(len(payload)))
	if len(payload) < 126 {
		head = []byte{first, 0x80 | byte(len(payload))}
	}
	_, err := io.WriteString(w, string(head)+"\x00\x00\x00\x00"+payload)
	require.NoError(w.t, err)
}

// next reads one frame.
func (w *rawWebSocket) next() (opcode byte, payload string) {
	w.t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(w.r, head)
	require.NoError(w.t, err)
	length := int(head[1])
	if length == 126 {
		more := make([]byte, 2)
		_, err = io.ReadFull(w.r, more)
		require.NoError(w.t, err)
		length = int(binary.BigEndian.Uint16(more))
	}
	body := make([]byte, length)
	_, err = io.ReadFull(w.r, body)
	require.NoError(w.t, err)
	return head[0] & 0x0f, string(body)
}

func (w *rawWebSocket) ends() {
	w.t.Helper()
	_, err := w.r.ReadByte()
	require.ErrorIs(w.t, err, io.EOF)
}

// TestACloseFrameIsAnswered with its code, after what was sent before it was answered.
func TestACloseFrameIsAnswered(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for range 20 {
		w := dialRaw(t, n)
		w.send(0x88, "\x03\xe8")
		opcode, payload := w.next()
		require.EqualValues(t, 8, opcode)
		require.Equal(t, "\x03\xe8", payload)
		w.ends()
	}
	w := dialRaw(t, n)
	w.send(0x81, connectFrame+"SEND\ndestination:/queue/closed\nreceipt:stored\n\nx\x00SEND\ndestination:/topic/a\nreceipt:sent\n\nx\x00")
	w.send(0x88, "\x03\xe9going away")
	for _, want := range []string{"CONNECTED\n", "RECEIPT\nreceipt-id:stored\n", "RECEIPT\nreceipt-id:sent\n"} {
		_, payload := w.next()
		require.True(t, strings.HasPrefix(payload, want), payload)
	}
	opcode, payload := w.next()
	require.EqualValues(t, 8, opcode)
	require.Equal(t, "\x03\xe9", payload)
	w.ends()

	w = dialRaw(t, n)
	w.send(0x88, "")
	_, payload = w.next()
	require.Equal(t, "\x03\xe8", payload)
}

// TestWhatIsWrongWithAMessageIsSaidInTheCloseFrame, and reaches a peer that is still
// sending.
func TestWhatIsWrongWithAMessageIsSaidInTheCloseFrame(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{WebSocket: gateway.WebSocketOptions{MaxMessage: 1000, Compression: true}})
	for _, c := range []struct {
		first   byte
		payload string
		code    uint16
		reason  string
	}{
		{0x81, connectFrame + "SEND\ndestination:/topic/a\n\n\xff\xfe\x00", websocket.CloseInvalidFramePayloadData, "has to be UTF-8"},
		{0x81, connectFrame + "\n\xe2\x82", websocket.CloseInvalidFramePayloadData, "has to be UTF-8"},
		{0x82, strings.Repeat("\n", 60_000), websocket.CloseMessageTooBig, "too large; split it"},
	} {
		w := dialRaw(t, n)
		w.send(c.first, c.payload)
		w.send(0x82, strings.Repeat("\n", 60_000))
		opcode, payload := w.next()
		for opcode != 8 {
			opcode, payload = w.next()
		}
		require.Equal(t, c.code, binary.BigEndian.Uint16([]byte(payload)))
		require.Contains(t, payload, c.reason)
		w.ends()
	}
	binary := dialRaw(t, n)
	binary.send(0x82, connectFrame+"SEND\ndestination:/topic/a\nreceipt:r\n\n\xff\xfe\x00")
	_, _ = binary.next()
	_, payload := binary.next()
	require.Contains(t, payload, "receipt-id:r", "a binary message may hold any bytes")

	// What is small on the wire may be large once it is inflated.
	dialer := websocket.Dialer{EnableCompression: true}
	ws, _, err := dialer.Dial(n.WebSocket, nil)
	require.NoError(t, err)
	defer ws.Close()
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("\n", 100_000))))
	_, _, err = ws.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseMessageTooBig), "%v", err)
}

// TestAPeerThatHasSaidAllGetsItsAnswers: the end of reading is not the end of writing.
func TestAPeerThatHasSaidAllGetsItsAnswers(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for _, sent := range []string{
		connectFrame,
		connectFrame + "SEND\ndestination:/topic/h\nreceipt:a\n\nx\x00",
		connectFrame + strings.Repeat("SEND\ndestination:/queue/h\nreceipt:a\n\nx\x00", 50) + "DISCONNECT\nreceipt:d\n\n\x00",
		connectFrame + "SEND\ndestination:/queue/h\nreceipt:a\n\nx\x00NONSENSE\n\n\x00",
	} {
		c, err := net.Dial("tcp", n.TCP)
		require.NoError(t, err)
		_, err = io.WriteString(c, sent)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(test.Patience)))
		answers, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, strings.Count(sent, "receipt:"), strings.Count(string(answers), "RECEIPT\n"), "%s", answers)
		require.Equal(t, strings.Contains(sent, "NONSENSE"), strings.Contains(string(answers), "ERROR\n"))
		_ = c.Close()
	}
}

// TestWhatASessionHeldIsFreeAtItsERROR, not when its client closes the connection.
func TestWhatASessionHeldIsFreeAtItsERROR(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for _, dial := range []func(testing.TB, *test.Node) *test.Client{test.Dial, test.DialTCP} {
		holder, other := dial(t, n).Connect(), dial(t, n).Connect()
		holder.Subscribe("q", "/queue/held", "ack", "client-individual")
		other.Send(frames.SEND, "destination", "/queue/held", "receipt", "r", "x")
		other.Receipt("r")
		holder.Message("x")
		start := time.Now()
		holder.Send("NONSENSE")
		holder.Expect(frames.ERROR)
		other.Subscribe("q", "/queue/held")
		require.Equal(t, "true", other.Message("x").Get("redelivered"))
		require.Zero(t, holder.CloseCode, "its connection is still there, after %s", time.Since(start))
		other.Send(frames.UNSUBSCRIBE, "id", "q", "receipt", "u")
		other.Receipt("u")
	}
}

// TestWhoIsNotConnectedMaySendLittle: nothing is kept for a peer that is not known yet.
func TestWhoIsNotConnectedMaySendLittle(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for _, dial := range []func(testing.TB, *test.Node) *test.Client{test.Dial, test.DialTCP} {
		for _, text := range []string{
			"CONNECT\n" + strings.Repeat("a:"+strings.Repeat("b", 3000)+"\n", 40),
			strings.Repeat("\n", 100_000),
		} {
			c := dial(t, n)
			_, _ = c.TryRaw([]byte(text))
			require.Contains(t, c.Expect(frames.ERROR).Get("message"), "before the end of a CONNECT frame")
		}
		dial(t, n).Connect("other", strings.Repeat("x", 16_000))
	}
}
