package clientaddr

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"
)

// FuzzForwarded: what headers say of a client's address is an address, or nothing.
func FuzzForwarded(f *testing.F) {
	for _, text := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.1", "for=1.2.3.4;proto=https", `for="[::1]:80"`, "unknown", ",,,", "for=", `for="`, "[::1", "fe80::1%eth0"} {
		f.Add(text, text)
	}
	trusted, err := ParseProxies([]string{"10.0.0.0/8", "::1"})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, forwarded, forwardedFor string) {
		h := http.Header{"X-Forwarded-For": {forwardedFor}}
		if forwarded != "" {
			h.Set("Forwarded", forwarded)
		}
		at, ok := trusted.client(h)
		if ok {
			_, err := netip.ParseAddrPort(at)
			require.NoError(t, err)
		}
		secure(h)
	})
}

// fuzzConn is a connection of a proxy that has sent bytes and ended.
type fuzzConn struct {
	net.Conn
	from *bytes.Reader
}

func (c *fuzzConn) Read(p []byte) (int, error)      { return c.from.Read(p) }
func (c *fuzzConn) Close() error                    { return nil }
func (c *fuzzConn) SetReadDeadline(time.Time) error { return nil }
func (c *fuzzConn) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }
func (c *fuzzConn) LocalAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 2} }

// FuzzPROXYProtocol: whatever a trusted proxy sends, its connection has an address, and reading
// it ends.
func FuzzPROXYProtocol(f *testing.F) {
	for _, text := range []string{
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nCONNECT\n", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::1 1 2\r\n", "PROXY", "", "PROXY TCP4 x y z\r\n", "CONNECT\n\n\x00",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02rest", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "\r\n\r\n\x00\r\nQUIT\n\x21\x21\xff\xff",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := proxyproto.NewConn(&fuzzConn{from: bytes.NewReader(text)}, proxyproto.WithPolicy(proxyproto.REQUIRE))
		got, err := io.ReadAll(c)
		require.LessOrEqual(t, len(got), len(text))
		if err == nil {
			require.NotNil(t, c.RemoteAddr())
		}
	})
}
