//go:build linux && !race

package gateway

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWritingAllocatesNothing: the detector of races throws pooled values away, so it
// counts others.
func TestWritingAllocatesNothing(t *testing.T) {
	c, peer := pair(t)
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	buffers := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		c.WriteNow(buffers)
		if err := c.Write(buffers); err != nil {
			panic(err)
		}
	}))
}

// sink is a connection that takes everything, as one behind TLS looks to a conn.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }

// TestGatheringAllocatesNothing: a buffer for each write would cost more than encryption does.
func TestGatheringAllocatesNothing(t *testing.T) {
	c := &conn{Conn: sink{}}
	buffers := [][]byte{[]byte("a"), make([]byte, maxPiece), []byte("c")}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if err := c.Write(buffers); err != nil {
			panic(err)
		}
	}))
	require.EqualValues(t, (1000+1)*(maxPiece+2), c.socket.written.Load())
}
