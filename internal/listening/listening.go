// Package listening says why an address cannot be listened on, and what to do.
package listening

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Explain returns what is wrong with an address for which net.Listen returned an error, and what
// an operator can do.
func Explain(address string, err error) (what, remedy string) {
	_, port, _ := net.SplitHostPort(address)
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return address + " is in use by another program", "see who has it: ss -ltnp 'sport = :" + port + "'; end that program, or choose another port"
	case errors.Is(err, syscall.EACCES):
		return address + " needs rights that this user does not have", "give the program CAP_NET_BIND_SERVICE, as the systemd unit does, or choose a port above 1023"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &dns):
		return address + " is not an address of this machine", "use an address of this machine (ip address), or 0.0.0.0 for all"
	}
	return fmt.Sprintf("%s cannot be listened on: %v", address, err), "choose another address"
}

// Error is Explain as one error that begins with the key of the setting, and wraps err.
func Error(key, address string, err error) error {
	what, remedy := Explain(address, err)
	return &explained{fmt.Sprintf("%s: %s; %s", key, what, remedy), err}
}

type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// Try opens an address and closes it again. It returns an error like that of [Error] where that
// is not possible.
func Try(ctx context.Context, key, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return Error(key, address, err)
	}
	return l.Close()
}
