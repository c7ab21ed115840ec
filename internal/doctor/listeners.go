package doctor

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/listening"
)

// listeners opens and closes each port that serve would listen on.
func checkListeners(ctx context.Context, e *examination) []Result {
	var all []Result
	for _, l := range config.Listeners(e.c) {
		all = append(all, checkListener(ctx, e, l.Key, l.Address))
	}
	return all
}

func checkListener(ctx context.Context, e *examination, key, address string) Result {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		_ = l.Close()
	}
	switch {
	case err == nil && e.Running:
		return warn(key, "restart the broker if this configuration is newer than the process", "%s is free, but a broker runs that does not listen on it", address)
	case err == nil:
		return ok(key, "%s is free", address)
	case errors.Is(err, syscall.EADDRINUSE) && e.Running:
		return ok(key, "%s is in use, as the broker runs", address)
	}
	what, remedy := listening.Explain(address, err)
	return fail(key, remedy, "%s", what)
}
