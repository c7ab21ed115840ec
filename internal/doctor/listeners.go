package doctor

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// listeners opens and closes each port that serve would listen on.
func checkListeners(ctx context.Context, e *examination) []Result {
	var all []Result
	for _, l := range []struct{ key, address string }{
		{"http.listen", e.c.HTTP.Listen}, {"stomp.listen", e.c.STOMP.Listen}, {"metrics.listen", e.c.Metrics.Listen}, {"admin.listen", e.c.Admin.Listen},
		{"nats.listen", e.c.NATS.Listen}, {"cluster.listen", e.c.Cluster.Listen},
	} {
		if l.address != "" {
			all = append(all, checkListener(ctx, e, l.key, l.address))
		}
	}
	return all
}

func checkListener(ctx context.Context, e *examination, key, address string) Result {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		_ = l.Close()
	}
	_, port, _ := net.SplitHostPort(address)
	var dns *net.DNSError
	switch {
	case err == nil && e.Running:
		return warn(key, "restart the broker if this configuration is newer than the process", "%s is free, but a broker runs that does not listen on it", address)
	case err == nil:
		return ok(key, "%s is free", address)
	case errors.Is(err, syscall.EADDRINUSE) && e.Running:
		return ok(key, "%s is in use, as the broker runs", address)
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(key, "see who has it: ss -ltnp 'sport = :"+port+"'; end that program, or choose another port", "%s is in use by another program", address)
	case errors.Is(err, syscall.EACCES):
		return fail(key, "give the program CAP_NET_BIND_SERVICE, as the systemd unit does, or choose a port above 1023", "%s needs rights that this user does not have", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &dns):
		return fail(key, "use an address of this machine (ip address), or 0.0.0.0 for all", "%s is not an address of this machine", address)
	}
	return fail(key, "choose another address", "%s cannot be listened on: %v", address, err)
}
