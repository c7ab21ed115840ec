package clientaddr

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerTimeout is how long a proxy may take to send its PROXY header.
const headerTimeout = 5 * time.Second

// ErrHeader is wrapped by the errors of connections whose header was refused.
var ErrHeader = errors.New("the PROXY header was refused")

// Reasons for which a proxy's connection is refused.
const (
	HeaderMissing   = "missing"
	HeaderMalformed = "malformed"
)

// Listener returns a listener with connections whose RemoteAddr is the client's, from the header
// of the PROXY protocol, versions 1 and 2, which each trusted proxy has to send. A
// connection from elsewhere is served as it is, and a PROXY header in it is not believed. Refused,
// which may be nil, is called for a proxy's connection without a valid header, with the proxy's
// address and a reason; not for one that ends before it sent a byte, as checks of load balancers do.
func (l *List) Listener(from net.Listener, refused func(proxy, reason string, err error)) net.Listener {
	return &headerListener{from, l, refused}
}

type headerListener struct {
	net.Listener
	proxies *List
	refused func(proxy, reason string, err error)
}

func (l *headerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || !l.proxies.Trusts(c.RemoteAddr().String()) {
		return c, err
	}
	opening := &openingConn{Conn: c}
	return &headerConn{
		Conn: proxyproto.NewConn(opening, proxyproto.WithPolicy(proxyproto.REQUIRE),
			proxyproto.ValidateHeader(checkHeader), proxyproto.SetReadHeaderTimeout(headerTimeout)),
		opening: opening, refused: l.refused,
	}, nil
}

// headerConn is a connection of a proxy.
type headerConn struct {
	*proxyproto.Conn
	opening *openingConn
	refused func(proxy, reason string, err error)

	once sync.Once
	err  error // of the header
}

// check waits for the header, and reports one that is wrong.
func (c *headerConn) check() error {
	c.once.Do(func() {
		if c.ProxyHeader() != nil {
			return
		}
		_, c.err = c.Conn.Read(nil)
		if c.opening.ended {
			c.err = io.EOF
			return
		}
		reason, err := HeaderMalformed, c.err
		if errors.Is(err, proxyproto.ErrNoProxyProtocol) {
			reason = HeaderMissing
		}
		c.err = fmt.Errorf("%w: %w", ErrHeader, err)
		if c.refused != nil {
			c.refused(c.opening.RemoteAddr().String(), reason, err)
		}
	})
	return c.err
}

func (c *headerConn) Read(p []byte) (int, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *headerConn) Write(p []byte) (int, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *headerConn) RemoteAddr() net.Addr {
	_ = c.check()
	return c.Conn.RemoteAddr()
}

// openingConn is the connection below a header of the PROXY protocol.
type openingConn struct {
	net.Conn
	begun bool
	ended bool // without a byte
}

// Raw returns the connection below.
func (c *openingConn) Raw() net.Conn { return c.Conn }

const (
	// signature is how a header of version 2 begins, and its command and family follow.
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	familyEnd = len(signature) + 2

	commandLocal, commandProxy = 0x20, 0x21
	familyUnspecified          = 0x00
)

// Read has a header of version 2 for an unspecified family be one of the command LOCAL: both leave
// the connection's own address (PROXY protocol, 2.2), and the parser knows the latter only.
func (c *openingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.begun {
		return n, err
	}
	if n == 0 {
		c.ended = err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		return n, err
	}
	c.begun = true
	if err == nil && p[0] == signature[0] && n < familyEnd && len(p) >= familyEnd {
		var more int
		more, err = io.ReadAtLeast(c.Conn, p[n:], familyEnd-n)
		n += more
	}
	if n >= familyEnd && string(p[:len(signature)]) == signature && p[familyEnd-2] == commandProxy && p[familyEnd-1] == familyUnspecified {
		p[familyEnd-2] = commandLocal
	}
	return n, err
}

// checkHeader has a header that gives no address of TCP leave the connection's own, as for what a
// receiver does not support (PROXY protocol, 2.2): limits count by it. What follows an address of
// TCP has to be well-formed.
func checkHeader(h *proxyproto.Header) error {
	if _, _, ok := h.TCPAddrs(); !ok {
		h.Command = proxyproto.LOCAL
		return nil
	}
	_, err := h.TLVs()
	return err
}
