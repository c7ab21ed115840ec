package gateway

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gatheringReader gathers what comes.
type gatheringReader struct {
	mu       sync.Mutex
	came     bytes.Buffer
	err      error
	detached chan struct{}
}

func (r *gatheringReader) feed(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came.Write(p)
	if bytes.Contains(p, []byte("!")) {
		return errLeft
	}
	return nil
}

func (r *gatheringReader) detach(err error) {
	r.err = err
	close(r.detached)
}

func (r *gatheringReader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came.String()
}

// servedConn is a connection that is read, with its peer.
func servedConn(t *testing.T) (*conn, net.Conn, *gatheringReader) {
	t.Helper()
	c, peer := pair(t)
	r := &gatheringReader{detached: make(chan struct{})}
	var conns connTracker
	c.serve(&conns, r)
	t.Cleanup(func() {
		_ = peer.Close()
		conns.Wait()
		_ = c.Close()
	})
	return c, peer, r
}

func parked(c *conn) func() bool {
	return func() bool { return c.reading.state.Load() == readingParked }
}

const patience = time.Minute

// TestAnIdleConnectionIsParked, and read again when something comes: at once so where it
// is a heart-beat, and after a while where it is more.
func TestAnIdleConnectionIsParked(t *testing.T) {
	t.Parallel()
	c, peer, r := servedConn(t)
	want := ""
	for _, text := range []string{"\n", "a frame that is longer", "\n", strings.Repeat("x", 100_000), "", "\n"} {
		require.Eventually(t, parked(c), patience, time.Millisecond)
		_, err := io.WriteString(peer, text)
		require.NoError(t, err)
		want += text
		require.Eventually(t, func() bool { return r.text() == want }, patience, time.Millisecond)
	}
	require.Eventually(t, parked(c), patience, time.Millisecond)
	require.NoError(t, peer.Close())
	<-r.detached
	require.ErrorIs(t, r.err, io.EOF)
}

// TestAConnectionThatCouldNotBeParkedIsLater: the system may have no room for it in an epoll
// instance at first.
func TestAConnectionThatCouldNotBeParkedIsLater(t *testing.T) {
	t.Parallel()
	full := newEpoll()
	require.NotNil(t, full)
	require.NoError(t, full.file.Close()) // it takes nothing
	<-full.done
	c, peer := pair(t)
	r := &gatheringReader{detached: make(chan struct{})}
	var conns connTracker
	conns.begin()
	p := &c.reading
	works, place, ok := thePoller.acquire(c)
	require.True(t, ok)
	p.reader, p.conns, p.raw, p.epoll, p.place = r, &conns, c.socket.raw, full, place
	require.False(t, c.park())
	p.epoll = works
	require.True(t, c.park())
	_, err := io.WriteString(peer, "\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.text() == "\n" }, patience, time.Millisecond)
	require.Eventually(t, parked(c), patience, time.Millisecond)
	require.NoError(t, works.watch(p.raw, place, false), "it is there already")
	require.NoError(t, peer.Close())
	<-r.detached
	conns.Wait()
}

// TestWhatEndsAParkedConnection: the node, the peer, or a time that is over.
func TestWhatEndsAParkedConnection(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *conn, peer net.Conn){
		"close":        func(c *conn, _ net.Conn) { _ = c.Close() },
		"finish":       func(c *conn, _ net.Conn) { c.Finish(time.Millisecond) },
		"peer":         func(_ *conn, peer net.Conn) { _ = peer.Close() },
		"reset":        func(_ *conn, peer net.Conn) { _ = peer.(*net.TCPConn).SetLinger(0); _ = peer.Close() },
		"last words":   func(_ *conn, peer net.Conn) { _, _ = io.WriteString(peer, "!") },
		"half a close": func(_ *conn, peer net.Conn) { _ = peer.(*net.TCPConn).CloseWrite() },
	} {
		for _, idle := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c, peer, r := servedConn(t)
				if idle {
					require.Eventually(t, parked(c), patience, time.Millisecond)
				}
				end(c, peer)
				<-r.detached
				switch name {
				case "close":
					require.ErrorIs(t, r.err, net.ErrClosed)
				case "finish":
					require.ErrorIs(t, r.err, os.ErrDeadlineExceeded)
				case "last words":
					require.ErrorIs(t, r.err, errLeft)
				case "reset":
					require.Error(t, r.err)
				default:
					require.ErrorIs(t, r.err, io.EOF)
				}
			})
		}
	}
}

// TestAPeerStillReadsAfterTheEnd: what it sends meanwhile is thrown away, within the time.
func TestAPeerStillReadsAfterTheEnd(t *testing.T) {
	t.Parallel()
	c, peer, r := servedConn(t)
	require.Eventually(t, parked(c), patience, time.Millisecond)
	require.NoError(t, c.Write([][]byte{[]byte("last")}))
	c.Finish(patience)
	_, err := io.WriteString(peer, "more")
	require.NoError(t, err)
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "last", string(got))
	require.NoError(t, peer.Close())
	<-r.detached
	require.ErrorIs(t, r.err, io.EOF)
	require.Equal(t, "more", r.text())
}

// TestParkedConnectionsAreWokenAndEndedAtOnce: none is read twice, or by two.
func TestParkedConnectionsAreWokenAndEndedAtOnce(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for i := range 50 {
		c, peer, r := servedConn(t)
		all.Go(func() {
			for j := range 20 {
				if i%2 == 0 {
					c.reading.wake(c)
				}
				if _, err := io.WriteString(peer, "\n"); err != nil {
					return
				}
				if j == 10 && i%3 == 0 {
					_ = c.Close()
				}
			}
			if i%3 != 0 {
				_ = peer.Close()
			}
			<-r.detached
		})
	}
	all.Wait()
}
