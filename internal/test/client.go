package test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

// Client is a STOMP client that does exactly what a test says, wrong things too.
type Client struct {
	t       testing.TB
	conn    io.ReadWriteCloser
	net     net.Conn
	reader  *frames.Reader
	version frames.Version
	early   []*frames.Frame // came before a receipt that was waited for
	// Connected is the CONNECTED frame, after Connect.
	Connected *frames.Frame
	// CloseCode is that of the WebSocket close frame, once Closed has seen it.
	CloseCode int
	// CloseReason is the text next to it.
	CloseReason string
}

// Patience is how long a frame may take before a test gives up. It is long, as
// race-detecting tests share few cores: nothing here measures time.
const Patience = 90 * time.Second

// DialTCP opens a TCP connection.
func DialTCP(t testing.TB, n *Node) *Client {
	t.Helper()
	return DialAddress(t, n.TCP)
}

// DialAddress opens a TCP connection to a broker in another process.
func DialAddress(t testing.TB, address string) *Client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	return newClient(t, c, c)
}

// Dial opens a WebSocket.
func Dial(t testing.TB, n *Node) *Client {
	t.Helper()
	return DialWebSocket(t, n.WebSocket)
}

// DialWebSocket opens a WebSocket at a URL.
func DialWebSocket(t testing.TB, url string) *Client {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp", "v11.stomp", "v10.stomp"}}
	ws, _, err := dialer.Dial(url, nil)
	require.NoError(t, err)
	return newClient(t, &wsConn{ws: ws}, ws.NetConn())
}

func newClient(t testing.TB, conn io.ReadWriteCloser, raw net.Conn) *Client {
	c := &Client{t: t, conn: conn, net: raw, version: frames.V12}
	c.reader = frames.NewReader(conn, &frames.Limits{MaxBody: 16 << 20})
	c.reader.SetVersion(frames.V12)
	t.Cleanup(func() { _ = conn.Close() })
	return c
}

// Connect sends CONNECT with the given header pairs, of version 1.2 and guest
// where they say nothing else, and wants CONNECTED.
func (c *Client) Connect(pairs ...string) *Client {
	c.t.Helper()
	all := append([]string(nil), pairs...)
	said := " " + strings.Join(pairs, " ") + " "
	if !strings.Contains(said, " accept-version ") {
		all = append(all, "accept-version", "1.2")
	}
	if !strings.Contains(said, " Authorization ") && !strings.Contains(said, " login ") {
		all = append(all, "login", "guest", "passcode", "guest")
	}
	c.Send(frames.CONNECT, all...)
	c.Connected = c.Expect(frames.CONNECTED)
	c.version = frames.V10
	if v := c.Connected.Get("version"); v != "" {
		var err error
		c.version, err = frames.NegotiateVersion(v)
		require.NoError(c.t, err)
	}
	c.reader.SetVersion(c.version)
	return c
}

// Send sends a frame; a last odd string is its body.
func (c *Client) Send(command string, pairs ...string) {
	c.t.Helper()
	var body string
	if len(pairs)%2 == 1 {
		body, pairs = pairs[len(pairs)-1], pairs[:len(pairs)-1]
	}
	f := frames.New(command, pairs...)
	f.Body = []byte(body)
	c.Raw(string(frames.Append(nil, f, c.version)))
}

// Raw sends bytes as they are.
func (c *Client) Raw(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, text)
	require.NoError(c.t, err)
}

// TryRaw is Raw for goroutines: it returns the error.
func (c *Client) TryRaw(p []byte) (int, error) { return c.conn.Write(p) }

// Wire writes bytes below the framing of the transport.
func (c *Client) Wire(p string) {
	c.t.Helper()
	_, err := io.WriteString(c.net, p)
	require.NoError(c.t, err)
}

// Next returns the next frame.
func (c *Client) Next() (*frames.Frame, error) {
	if len(c.early) > 0 {
		f := c.early[0]
		c.early = c.early[1:]
		return f, nil
	}
	return c.read()
}

func (c *Client) read() (*frames.Frame, error) {
	_ = c.net.SetReadDeadline(time.Now().Add(Patience))
	f := new(frames.Frame)
	err := c.reader.Read(f)
	return f, err
}

// Expect wants the next frame to be of a command.
func (c *Client) Expect(command string) *frames.Frame {
	c.t.Helper()
	f, err := c.Next()
	require.NoError(c.t, err)
	require.Equal(c.t, command, f.Command, "%v %s", f.Headers, f.Body)
	return f
}

// Fail ends the test.
func (c *Client) Fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf(format, args...)
}

// Message wants a MESSAGE with this body.
func (c *Client) Message(body string) *frames.Frame {
	c.t.Helper()
	f := c.Expect(frames.MESSAGE)
	require.Equal(c.t, body, string(f.Body))
	return f
}

// Receipt wants a RECEIPT.
func (c *Client) Receipt(id string) {
	c.t.Helper()
	require.Equal(c.t, id, c.Expect(frames.RECEIPT).Get("receipt-id"))
}

// Subscribe subscribes and waits for the receipt, which it returns. Messages of a queue or
// of the past may come before it; they are the next frames.
func (c *Client) Subscribe(id, destination string, pairs ...string) *frames.Frame {
	c.t.Helper()
	f, err := c.TrySubscribe(id, destination, pairs...)
	require.NoError(c.t, err)
	require.Equal(c.t, frames.RECEIPT, f.Command, "%v %s", f.Headers, f.Body)
	require.Equal(c.t, "subscribe-"+id, f.Get("receipt-id"))
	return f
}

// TrySubscribe is Subscribe where the broker may refuse: it returns the first frame that is
// no MESSAGE, which may be an ERROR.
func (c *Client) TrySubscribe(id, destination string, pairs ...string) (*frames.Frame, error) {
	c.t.Helper()
	f := frames.New(frames.SUBSCRIBE, append([]string{"id", id, "destination", destination, "receipt", "subscribe-" + id}, pairs...)...)
	if _, err := c.TryRaw(frames.Append(nil, f, c.version)); err != nil {
		return nil, err
	}
	for {
		f, err := c.read()
		if err != nil || f.Command != frames.MESSAGE {
			return f, err
		}
		c.early = append(c.early, f)
	}
}

// Error wants an ERROR whose message contains says, and then the end.
func (c *Client) Error(says string) *frames.Frame {
	c.t.Helper()
	f := c.Expect(frames.ERROR)
	require.Contains(c.t, f.Get("message"), says)
	c.Closed()
	return f
}

// Closed wants the connection to end without another frame.
func (c *Client) Closed() {
	c.t.Helper()
	f, err := c.Next()
	require.Error(c.t, err, "a frame came: %s %v", f.Command, f.Headers)
	var timeout net.Error
	if ok := asTimeout(err, &timeout); ok {
		c.t.Fatalf("the connection is still open")
	}
	if ws, ok := c.conn.(*wsConn); ok {
		c.CloseCode, c.CloseReason = ws.code, ws.reason
	}
}

// Quiet wants nothing to arrive before the receipt of a frame sent now.
func (c *Client) Quiet() {
	c.t.Helper()
	c.Send(frames.BEGIN, "transaction", "quiet", "receipt", "quiet")
	c.Receipt("quiet")
	c.Send(frames.ABORT, "transaction", "quiet")
}

// HalfClose ends the sending side of a TCP connection.
func (c *Client) HalfClose() {
	c.t.Helper()
	require.NoError(c.t, c.net.(*net.TCPConn).CloseWrite())
}

// Close drops the connection.
func (c *Client) Close() { _ = c.conn.Close() }

func asTimeout(err error, target *net.Error) bool {
	ne, ok := err.(net.Error)
	if ok {
		*target = ne
	}
	return ok && ne.Timeout()
}

// wsConn is a WebSocket as a stream.
type wsConn struct {
	ws     *websocket.Conn
	r      io.Reader
	code   int
	reason string
	// Types are the message types that came.
	types []int
}

func (w *wsConn) Read(p []byte) (int, error) {
	for {
		if w.r == nil {
			kind, r, err := w.ws.NextReader()
			if closed, ok := err.(*websocket.CloseError); ok {
				w.code, w.reason = closed.Code, closed.Text
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			w.types = append(w.types, kind)
			w.r = r
		}
		n, err := w.r.Read(p)
		if err == io.EOF {
			w.r = nil
			if n > 0 {
				return n, nil
			}
			continue
		}
		return n, err
	}
}

func (w *wsConn) Write(p []byte) (int, error) {
	if !utf8.Valid(p) {
		return len(p), w.ws.WriteMessage(websocket.BinaryMessage, p)
	}
	return len(p), w.ws.WriteMessage(websocket.TextMessage, p)
}

func (w *wsConn) Close() error { return w.ws.Close() }

// LastType is the WebSocket type of the last message: 1 for text, 2 for binary.
func (c *Client) LastType() int {
	w := c.conn.(*wsConn)
	return w.types[len(w.types)-1]
}
