package gateway

import (
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// turnReader has another goroutine become ready at its first bytes, and ends the connection
// when all have come.
type turnReader struct {
	left     int
	othersDo chan struct{}
	inTurn   bool // the other goroutine had its turn by then
	detached chan struct{}
}

func (r *turnReader) feed(p []byte) error {
	if r.othersDo == nil {
		r.othersDo = make(chan struct{})
		go close(r.othersDo)
	}
	if r.left -= len(p); r.left > 0 {
		return nil
	}
	select {
	case <-r.othersDo:
		r.inTurn = true
	default:
	}
	return errLeft
}

func (r *turnReader) detach(error) { close(r.detached) }

// hidden is a connection that cannot be parked, such as one behind TLS.
type hidden struct{ net.Conn }

// TestAFloodLetsOthersGoOn, also where nothing of it is STOMP, which a session would count:
// on one processor another goroutine has its turn before all that waits was read.
func TestAFloodLetsOthersGoOn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const flood = 48 << 10 // so much waits at once
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"as it is":         func(c net.Conn) net.Conn { return c },
		"cannot be parked": func(c net.Conn) net.Conn { return hidden{c} },
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t)
			c.Conn = wrap(c.Conn)
			_, err := peer.Write(make([]byte, flood))
			require.NoError(t, err)
			r := &turnReader{left: flood, detached: make(chan struct{})}
			var conns connTracker
			c.serve(&conns, r)
			<-r.detached
			require.True(t, r.inTurn, "a connection that is flooded keeps its turn")
			_ = c.Close()
			conns.Wait()
		})
	}
}
