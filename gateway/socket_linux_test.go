package gateway

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair returns both ends of a connection over TCP, the first of them with its transport.
func pair(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = peer.Close(); _ = server.Close() })
	return newConn(server, plain{}, "", time.Minute), peer
}

// TestWriteNowTakesWhatTheSocketTakes, and a blocking write goes on where it stopped.
func TestWriteNowTakesWhatTheSocketTakes(t *testing.T) {
	t.Parallel()
	c, peer := pair(t)
	require.True(t, c.WritesNow())
	var want bytes.Buffer
	var buffers [][]byte
	for i := range 3000 { // more than one call may have
		b := bytes.Repeat([]byte{byte(i)}, i)
		buffers = append(buffers, b)
		want.Write(b)
	}
	require.Zero(t, c.WriteNow(nil))
	require.Zero(t, c.WriteNow([][]byte{nil, {}}))
	n := c.WriteNow(buffers)
	require.Positive(t, n)
	for more := n; more > 0; n += more { // until it is full
		more = c.WriteNow([][]byte{want.Bytes()[n:]})
	}
	require.Less(t, n, want.Len())
	before := c.Progress()
	written := make(chan error, 1)
	go func() { written <- c.Write([][]byte{want.Bytes()[n : n+1], nil, want.Bytes()[n+1:]}) }()
	got := make([]byte, 1<<20)
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.Progress() != before }, time.Minute, time.Millisecond)
	rest := make([]byte, want.Len()-len(got))
	_, err = io.ReadFull(peer, rest)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.True(t, bytes.Equal(want.Bytes(), append(got, rest...)))
	require.NoError(t, c.Close())
	require.Zero(t, c.WriteNow([][]byte{{1}}))
	require.Error(t, c.Write([][]byte{{1}}))
}

// TestAWriteEndsWithItsConnection, also one that waits.
func TestAWriteEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	c, _ := pair(t)
	large := make([]byte, 1<<20)
	for n := 1; n > 0; {
		n = c.WriteNow([][]byte{large})
	}
	written := make(chan error, 1)
	go func() { written <- c.Write([][]byte{large}) }()
	require.NoError(t, c.Close())
	require.Error(t, <-written)
}
