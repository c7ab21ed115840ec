package gateway

import (
	"net"
	"syscall"
	"time"
)

// NewListener returns a listener for an HTTP server. On Linux it closes a connection if the
// peer's system does not answer for the time vanished; 0 leaves that to the operating system.
// Handlers cannot do this for streams over HTTP/2 and for SockJS over HTTP, because they do not
// see the connections. On other systems it does nothing.
func NewListener(l net.Listener, vanished time.Duration) net.Listener {
	return &tuningListener{l, vanished}
}

type tuningListener struct {
	net.Listener
	vanished time.Duration
}

func (l *tuningListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if below, ok := c.(syscall.Conn); ok {
		if raw, err := below.SyscallConn(); err == nil {
			tune(raw, l.vanished) // the listener's options do not reach connections where it is MPTCP's
		}
	}
	return c, nil
}
