package clientaddr_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/clientaddr"
)

func TestOnlyTrustedProxiesSayWhereAClientIs(t *testing.T) {
	t.Parallel()
	proxies, err := clientaddr.ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48", "::ffff:172.16.0.0/108"})
	require.NoError(t, err)
	for _, c := range []struct{ peer, forwarded, xff, want string }{
		{"203.0.113.1:5", "", "198.51.100.1", "203.0.113.1:5"}, // is no proxy
		{"10.1.2.3:5", "", "", "10.1.2.3:5"},
		{"10.1.2.3:5", "", "198.51.100.1", "198.51.100.1:0"},
		{"[::ffff:10.1.2.3]:5", "", "198.51.100.1", "198.51.100.1:0"},
		{"10.1.2.3:5", "", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1:0"}, // the client made up the first
		{"10.1.2.3:5", "", "10.0.0.1, 10.0.0.2", "10.0.0.1:0"},
		{"10.1.2.3:5", "", "1.1.1.1, unknown", "10.1.2.3:5"},
		{"10.1.2.3:5", "", "198.51.100.1:777", "198.51.100.1:777"},
		{"10.1.2.3:5", "", "2001:db8:2::1", "[2001:db8:2::1]:0"},
		{"10.1.2.3:5", `for=198.51.100.2;proto=https`, "", "198.51.100.2:0"},
		{"10.1.2.3:5", `for=198.51.100.2;proto=https`, "198.51.100.1", "198.51.100.1:0"}, // what the client made up passes through proxies
		{"10.1.2.3:5", `For="[2001:db8:2::1]:99", for=10.0.0.9`, "", "[2001:db8:2::1]:99"},
		{"10.1.2.3:5", `for=_hidden`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for=198.51.100.2;host="a, for=1.1.1.1"`, "", "198.51.100.2:0"}, // the client's Host, as a proxy repeats it
		{"10.1.2.3:5", `for=198.51.100.2; host="a\", for=1.1.1.1" ; by="_x"`, "", "198.51.100.2:0"},
		{"10.1.2.3:5", `host=", for=198.51.100.2`, "", "10.1.2.3:5"}, // the client's quote has no end
		{"10.1.2.3:5", `for=1.1.1.1;x=", for=198.51.100.2;host="a"`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for="198.51.100.2", for="10.0.0.9`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for=1.1.1.1,, for=198.51.100.2;;`, "", "198.51.100.2:0"},
		{"10.1.2.3:5", `for = 198.51.100.2`, "", "10.1.2.3:5"},
		// A client's Host that a proxy repeats without quotes.
		{"10.1.2.3:5", `for=198.51.100.2;host=a;for=1.1.1.1`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for=198.51.100.2;host=a;FOR=1.1.1.1;proto=https`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for=198.51.100.2;proto=http;host=a;Proto=https`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for="_hidden", for=_SEVKISEK`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for=1.1.1.1, for="unknown:80"`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", `for="[fe80::1%eth0]:99"`, "", "[fe80::1]:99"},
		{"10.1.2.3:5", "", "fe80::1%any text, even \x7f", "10.1.2.3:5"},
		{"10.1.2.3:5", "", "1.1.1.1, fe80::1%any text", "[fe80::1]:0"},
		{"10.1.2.3:5", "", "1.1.1.1, ::ffff:198.51.100.1", "[::ffff:198.51.100.1]:0"},
		{"10.1.2.3:5", "", "198.51.100.1, ::ffff:10.0.0.1", "198.51.100.1:0"},
		{"10.1.2.3:5", "", "1.1.1.1, 198.51.100.1:99999", "10.1.2.3:5"},
		{"10.1.2.3:5", "", "1.1.1.1, 010.0.0.1", "10.1.2.3:5"},
		{"172.16.0.9:5", "", "198.51.100.1", "198.51.100.1:0"}, // a network of IPv4, written as one of IPv6
		{"10.1.2.3:5", `for=1.1.1.1, proto=https`, "", "10.1.2.3:5"},
		{"10.1.2.3:5", "", "1.1.1.1, ", "10.1.2.3:5"},
		{"10.1.2.3:5", "", "1.1.1.1, [2001:db8:2::1]:443", "[2001:db8:2::1]:443"},
		{"[2001:db8:1::1]:5", "", "198.51.100.1", "198.51.100.1:0"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("Forwarded", c.forwarded)
		}
		if c.xff != "" {
			r.Header.Set("X-Forwarded-For", c.xff)
		}
		got := ""
		proxies.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, c.want, got, "%+v", c)
	}
	_, err = clientaddr.ParseProxies([]string{"lb.example"})
	require.ErrorContains(t, err, "lb.example")
}

// TestTheSchemeIsThatOfTheLastProxy: Traefik names that of WebSockets.
func TestTheSchemeIsThatOfTheLastProxy(t *testing.T) {
	t.Parallel()
	proxies, err := clientaddr.ParseProxies([]string{"10.0.0.0/8"})
	require.NoError(t, err)
	for proto, want := range map[string]string{"https": "https", "wss": "https", "WSS": "https", "http, wss": "https", "http": "", "ws": "", "https, ws": "", "": "", "wsss": ""} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header = "10.1.2.3:5", http.Header{"X-Forwarded-Proto": {proto}}
		proxies.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { require.Equal(t, want, r.URL.Scheme, proto) })).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestAllLinesOfAHeaderCount: a proxy may add its line below those that a client made up.
func TestAllLinesOfAHeaderCount(t *testing.T) {
	t.Parallel()
	proxies, err := clientaddr.ParseProxies([]string{"10.0.0.0/8"})
	require.NoError(t, err)
	for _, c := range []struct {
		headers http.Header
		want    string
	}{
		{http.Header{"X-Forwarded-For": {"1.1.1.1", "2.2.2.2, 198.51.100.1", "10.0.0.1"}}, "198.51.100.1:0"},
		{http.Header{"Forwarded": {"for=1.1.1.1", `for=2.2.2.2;host="`, "for=198.51.100.1"}}, "198.51.100.1:0"},
		{http.Header{"Forwarded": {"for=1.1.1.1", `for=2.2.2.2;host="`}}, "10.1.2.3:5"},
		{http.Header{"X-Forwarded-For": {"1.1.1.1", ""}}, "10.1.2.3:5"},
		{http.Header{"X-Forwarded-For": {strings.Repeat("1.1.1.1,", 5000) + "198.51.100.1"}}, "198.51.100.1:0"},
		{http.Header{"X-Forwarded-For": {"1.1.1.1" + strings.Repeat(",10.0.0.1", 5000)}}, "10.0.0.1:0"},
		{http.Header{"X-Real-Ip": {"1.1.1.1"}, "X-Client-Ip": {"1.1.1.1"}, "True-Client-Ip": {"1.1.1.1"}, "Cf-Connecting-Ip": {"1.1.1.1"}}, "10.1.2.3:5"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header = "10.1.2.3:5", c.headers
		proxies.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { require.Equal(t, c.want, r.RemoteAddr) })).ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestThePROXYProtocolIsRequiredOfProxiesAndTakenFromNoOther(t *testing.T) {
	t.Parallel()
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	addresses := "\xc6\x33\x64\x01\x7f\x00\x00\x01\x03\x09\x00\x50"
	v2 := signature + "\x21\x11\x00\x0c" + addresses
	unix := strings.Repeat("/", 216)
	for _, c := range []struct{ trusted, sent, want string }{
		{"127.0.0.1", "PROXY TCP4 198.51.100.1 127.0.0.1 777 80\r\nhello\n", "198.51.100.1:777 hello\n"},
		{"127.0.0.1", v2 + "hello\n", "198.51.100.1:777 hello\n"},
		{"127.0.0.1", "hello, without a header that is required\n", ""},
		{"127.0.0.1", signature + "\x21\x11\x00\x11" + addresses + "\x04\x00\x02xxhello\n", "198.51.100.1:777 hello\n"}, // with a TLV
		{"127.0.0.1", signature + "\x20\x11\x00\x0c" + addresses + "hello\n", "self hello\n"},                           // LOCAL
		{"127.0.0.1", signature + "\x20\x00\x00\x00hello\n", "self hello\n"},
		{"127.0.0.1", signature + "\x21\x00\x00\x00hello\n", "self hello\n"},                  // of no family
		{"127.0.0.1", signature + "\x21\x00\x00\x0c" + addresses + "hello\n", "self hello\n"}, // which ignores addresses
		{"127.0.0.1", "PROXY UNKNOWN 1.1.1.1 2.2.2.2 1 2\r\nhello\n", "self hello\n"},
		{"127.0.0.1", signature + "\x21\x12\x00\x0c" + addresses + "hello\n", "self hello\n"},                  // UDP
		{"127.0.0.1", signature + "\x21\x31\x00\xd8" + unix + "hello\n", "self hello\n"},                       // a socket of Unix
		{"127.0.0.1", signature + "\x21\x41\x00\x0c" + addresses + "hello\n", ""},                              // of an unknown family
		{"127.0.0.1", signature + "\x11\x11\x00\x0c" + addresses + "hello\n", ""},                              // of another version
		{"127.0.0.1", signature + "\x22\x11\x00\x0c" + addresses + "hello\n", ""},                              // of an unknown command
		{"127.0.0.1", signature + "\x21\x11\x00\x0b" + addresses + "hello\n", ""},                              // too short
		{"127.0.0.1", signature + "\x21\x11\xff\xff" + addresses + strings.Repeat("x", 65523) + "hello\n", ""}, // too long
		{"127.0.0.1", signature + "\x21\x11\x00\x10" + addresses + "\x04\xff\xffxhello\n", ""},                 // a TLV longer than the header
		{"127.0.0.1", "PROXY TCP4 198.51.100.1 127.0.0.1 777 80" + strings.Repeat(" ", 100) + "\r\nhello\n", ""},
		{"127.0.0.1", "PROXY TCP4 ::1 127.0.0.1 777 80\r\nhello\n", ""},
		{"127.0.0.1", "PROXY TCP6 fe80::1%eth0 ::1 777 80\r\nhello\n", ""},
		{"127.0.0.1", "PROXY TCP4 198.51.100.1 127.0.0.1 65536 80\r\nhello\n", ""},
		{"127.0.0.1", "PROXY TCP4 198.51.100.1 127.0.0.1 777 80\nhello\n", ""},
		{"127.0.0.1", "proxy TCP4 198.51.100.1 127.0.0.1 777 80\r\nhello\n", ""},
		{"192.0.2.1", "PROXY TCP4 198.51.100.1 127.0.0.1 777 80\r\n", "self PROXY TCP4 198.51.100.1 127.0.0.1 777 80\r\n"},
	} {
		proxies, err := clientaddr.ParseProxies([]string{c.trusted})
		require.NoError(t, err)
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l := clientaddr.NewList(proxies).Listener(inner, nil)
		got := make(chan string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				got <- err.Error()
				return
			}
			defer conn.Close()
			remote := conn.RemoteAddr().String()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				got <- ""
				return
			}
			got <- remote + " " + line
		}()
		conn, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(conn, c.sent)
		require.NoError(t, err)
		want := c.want
		if len(want) > 5 && want[:5] == "self " {
			want = conn.LocalAddr().String() + want[4:]
		}
		select {
		case text := <-got:
			require.Equal(t, want, text, "%q", c.sent)
		case <-time.After(time.Minute):
			t.Fatal("no answer")
		}
		_ = conn.Close()
		_ = l.Close()
	}
}

// TestAHeaderThatIsRefusedIsReportedOnce with the address of the proxy, and in pieces as well.
func TestAHeaderThatIsRefusedIsReportedOnce(t *testing.T) {
	t.Parallel()
	const begins = "\r\n\r\n\x00\r\nQUIT\n"
	for _, c := range []struct {
		sent   []string
		reason string
	}{
		{[]string{"CONNECT\naccept-version:1.2\n\n\x00"}, clientaddr.HeaderMissing},
		{[]string{"PROXY TCP4 x y 1 2\r\n"}, clientaddr.HeaderMalformed},
		{[]string{begins + "\x21\x11\x00\x0b"}, clientaddr.HeaderMalformed},
		{nil, ""}, // a check of a load balancer
		{[]string{begins + "\x21", "\x00\x00\x00"}, ""},
		{[]string{begins[:3], begins[3:] + "\x20\x00\x00\x00"}, ""},
	} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		proxies, err := clientaddr.ParseProxies([]string{"127.0.0.0/8"})
		require.NoError(t, err)
		reported := make(chan string, 9)
		l := clientaddr.NewList(proxies).Listener(inner, func(proxy, reason string, err error) {
			require.Error(t, err)
			reported <- proxy + " " + reason
		})
		client, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		served, err := l.Accept()
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(served)
			_, again := served.Read(make([]byte, 1))
			_ = served.RemoteAddr()
			if err == nil {
				err = again
			}
			ended <- err
		}()
		for _, piece := range c.sent {
			_, err = io.WriteString(client, piece)
			require.NoError(t, err)
		}
		want := ""
		if c.reason != "" {
			want = client.LocalAddr().String() + " " + c.reason
		}
		require.NoError(t, client.(*net.TCPConn).CloseWrite())
		err = <-ended
		require.Equal(t, c.reason != "", errors.Is(err, clientaddr.ErrHeader), "%q %v", c.sent, err)
		close(reported)
		require.Equal(t, want, <-reported, "%q", c.sent)
		require.Empty(t, <-reported)
		_ = served.Close()
		_ = client.Close()
		_ = l.Close()
	}
}
