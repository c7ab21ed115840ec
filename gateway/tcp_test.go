package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// failingListener fails once, as one does that is out of file descriptors.
type failingListener struct {
	net.Listener
	failed bool
}

func (l *failingListener) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestTCPGoesOnAfterAFailedAccept(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	tcp := gateway.NewTCP(n.Broker, gateway.TCPOptions{Logger: slog.New(slog.NewTextHandler(n.Log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tcp.Serve(ctx, &failingListener{Listener: l}) }()
	c := test.DialAddress(t, l.Addr().String()).Connect()
	c.Send(frames.DISCONNECT, "receipt", "bye")
	c.Receipt("bye")
	require.Contains(t, n.Log.String(), "too many open files")
	cancel()
	require.NoError(t, <-served)
	c.Close()
	tcp.Wait()
}
