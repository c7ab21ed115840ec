package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
)

// plain is the framing of STOMP over TCP: none.
type plain struct{}

var eol = []byte{'\n'}

func (plain) Frame(dst, stomp []byte, _ bool) []byte { return append(dst, stomp...) }

func (plain) HeartBeat() []byte { return eol }

func (plain) Ping() []byte { return nil }

func (plain) Close(broker.CloseCode, string) []byte { return nil }

// TCP serves STOMP over TCP, or over TLS when its listener does.
type TCP struct {
	broker *broker.Broker
	log    *slog.Logger
	conns  connTracker

	certificateName auth.CertificateName
	handshakeFailed func(remote string, err error)
}

// TCPOptions configure a TCP.
type TCPOptions struct {
	// Logger reports connections that could not be accepted. Default slog.Default.
	Logger *slog.Logger
	// CertificateName says which name in a client certificate is its login. The listener must
	// have verified the certificate. By default certificates are not used as credentials.
	CertificateName auth.CertificateName
	// HandshakeFailed, which may be nil, is called for a TLS handshake that fails.
	HandshakeFailed func(remote string, err error)
}

// NewTCP returns a server for b's sessions over TCP.
func NewTCP(b *broker.Broker, o TCPOptions) *TCP {
	return &TCP{broker: b, log: cmp.Or(o.Logger, slog.Default()), certificateName: o.CertificateName, handshakeFailed: o.HandshakeFailed}
}

const (
	// acceptPause is how long to leave a listener alone that failed.
	acceptPause = 50 * time.Millisecond
	// acceptLogInterval is how often a failure is logged.
	acceptLogInterval = 10 * time.Second
)

// Serve accepts connections until ctx is done, and then closes the listener. If the listener
// fails, it returns the error. Sessions stay open until the broker shuts down; Wait waits for
// them.
func (t *TCP) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var logged time.Time
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			t.conns.Go(func() { t.handle(c) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of file descriptors, or the peer gave up: others go on.
			if now := time.Now(); now.Sub(logged) > acceptLogInterval {
				logged = now
				t.log.Warn("a connection could not be accepted; others go on", "listener", l.Addr().String(), "error", err)
			}
			time.Sleep(acceptPause)
		}
	}
}

// Wait returns when all connections are closed.
func (t *TCP) Wait() { t.conns.Wait() }

func (t *TCP) handle(nc net.Conn) {
	c := newConn(nc, plain{}, "", vanishedAfter(t.broker, t.broker.Limits().IdleTimeout))
	c.certificateName = t.certificateName
	s, err := t.broker.Open(c)
	if err != nil {
		refuseConn(c, err)
		return
	}
	c.serve(&t.conns, tcpReader{s, requestsOf(nc), t.handshakeOf(nc)})
}

// tcpReader gives a session what comes. What comes after the end of the session is
// thrown away, so that its last frames arrive.
type tcpReader struct {
	session *broker.Session
	shakes  *requestConn // counts the handshake; nil where there is none
	shake   handshake
}

// handshake reports a TLS handshake that fails.
type handshake struct {
	conn   *tls.Conn // nil where there is none
	failed func(remote string, err error)
}

func (t *TCP) handshakeOf(c net.Conn) handshake {
	encrypted, _ := c.(*tls.Conn)
	return handshake{encrypted, t.handshakeFailed}
}

// end is called with why the connection has ended.
func (h handshake) end(err error) {
	if h.conn != nil && h.failed != nil && err != nil && !h.conn.ConnectionState().HandshakeComplete {
		h.failed(h.conn.RemoteAddr().String(), err)
	}
}

func (r tcpReader) feed(p []byte) error {
	if r.shakes != nil && r.shakes.counts.Load() {
		r.shakes.await(false)
	}
	_ = r.session.Receive(p)
	return nil
}

func (r tcpReader) detach(err error) {
	r.shake.end(err)
	r.session.Detach(err)
}
