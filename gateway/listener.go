package gateway

import (
	"net"
	"syscall"
	"time"
)

// NewListener returns l for a server of HTTP, whose connections these handlers do not see
// where they answer requests: streams over HTTP/2 and the transports of SockJS over HTTP.
// On Linux a connection ends whose peer's system has not answered for so long; 0 leaves
// that to the operating system. Elsewhere it does nothing.
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
