package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reading is how a connection is read. A goroutine does while something comes; after a
// while of silence the connection is parked: it has no goroutine, and the poller starts
// one when there is something to read. So an idle connection holds neither a stack nor a
// buffer, and a busy one is read as any other of Go's.
type reading struct {
	reader   reader // nil where a goroutine reads all the time
	conns    *connTracker
	raw      syscall.RawConn
	state    atomic.Int32
	epoll    *epoll
	place    uint32       // of the poller
	added    bool         // to the poller, or that was tried; of the goroutine that reads
	finishAt atomic.Int64 // Unix nanoseconds at which reading ends, or 0
}

// The states of a reading. Who changes one from readingParked reads from then on, so
// that there is one goroutine at most: the poller at an event, or who ends the connection.
const (
	readingActive int32 = iota
	readingParked
)

const (
	// lingerReading is how long a goroutine waits for more before its connection is
	// parked, and up to twice as long.
	lingerReading = time.Second
	// maxBeatBytes is what a heart-beat or a pong has at most: a connection that was
	// parked is so again after it.
	maxBeatBytes = 8
)

// start has a reader take what comes, where the connection can be parked.
func (p *reading) start(c *conn, conns *connTracker, r reader) bool {
	nc, ok := c.Conn.(*net.TCPConn) // and not one that reads something of its own
	if !ok || c.socket.raw == nil {
		return false
	}
	_ = nc.SetReadDeadline(time.Time{})
	if p.epoll, p.place, ok = thePoller.acquire(c); !ok {
		return false
	}
	p.reader, p.conns, p.raw = r, conns, c.socket.raw
	_, quiet := r.(eventReader)
	go c.read(quiet)
	return true
}

// finish has the reader end at a time.
func (p *reading) finish(c *conn, at time.Time) {
	p.finishAt.Store(at.UnixNano())
	_ = c.SetReadDeadline(at)
	p.wake(c)
}

// wake has a parked connection be read: it has ended, or will.
func (p *reading) wake(c *conn) {
	if p.state.CompareAndSwap(readingParked, readingActive) {
		go c.read(false)
	}
}

// read reads until the connection is parked or ends. Beat says that a heart-beat may be
// all that there is.
func (c *conn) read(beat bool) {
	p := &c.reading
	parked, err := c.readUntilIdle(beat)
	if parked {
		return
	}
	thePoller.release(p.place)
	p.reader.detach(err)
	p.conns.end()
}

// readUntilIdle reads until nothing has come for a while, and the connection is parked,
// or until it ends.
func (c *conn) readUntilIdle(beat bool) (parked bool, err error) {
	p := &c.reading
	call := readCalls.Get().(*readCall)
	defer readCalls.Put(call)
	var deadline time.Time
	var t turn
	for {
		wait := !beat
		if at := p.finishAt.Load(); at != 0 {
			wait = true
			_ = c.SetReadDeadline(time.Unix(0, at))
		} else if now := time.Now(); wait && deadline.Sub(now) < lingerReading {
			deadline = now.Add(2 * lingerReading)
			_ = c.SetReadDeadline(deadline)
			if at := p.finishAt.Load(); at != 0 {
				continue
			}
		}
		n, err := call.read(p.raw, wait, p.reader)
		idle := beat && n <= maxBeatBytes
		switch {
		case err == nil:
			if !idle {
				beat = false
				t.read(n)
				continue
			}
		case errors.Is(err, errNothing):
		case errors.Is(err, os.ErrDeadlineExceeded) && p.finishAt.Load() == 0:
			_ = c.SetReadDeadline(time.Time{}) // or the next read would end at once
			deadline = time.Time{}
		default:
			return false, err
		}
		if c.park() {
			return true, nil
		}
		beat = false // it could not be, so this goroutine waits
	}
}

// park has the poller watch the connection. It returns false where it has ended
// meanwhile, or will, or where the poller cannot: then it is tried again after the next silence.
func (c *conn) park() bool {
	p := &c.reading
	added := p.added
	p.added = true
	p.state.Store(readingParked)
	// From here on another goroutine may read.
	err := p.epoll.watch(p.raw, p.place, added)
	if err == nil && p.finishAt.Load() == 0 {
		return true
	}
	return !p.state.CompareAndSwap(readingParked, readingActive)
}

// readCall is one read, which holds a buffer only while there is something to read.
type readCall struct {
	buffer *[16 << 10]byte
	n      int
	wait   bool
	err    error
	step   func(fd uintptr) bool // call.try, kept so that calling it does not allocate
}

var readCalls = sync.Pool{New: func() any {
	call := new(readCall)
	call.step = call.try
	return call
}}

// errNothing is that of a read that finds nothing and does not wait.
var errNothing = errors.New("gateway: nothing to read")

// read reads once, and feeds r with it.
func (call *readCall) read(raw syscall.RawConn, wait bool, r reader) (int, error) {
	call.n, call.wait, call.err = 0, wait, nil
	err := raw.Read(call.step)
	if err == nil {
		err = call.err
	}
	if call.buffer != nil {
		if err == nil {
			err = r.feed(call.buffer[:call.n])
		}
		readBuffers.Put(call.buffer)
		call.buffer = nil
	}
	return call.n, err
}

// try is called with the socket's descriptor. It returns false to be called again when
// there is something to read.
func (call *readCall) try(fd uintptr) (done bool) {
	buffer := readBuffers.Get().(*[16 << 10]byte)
	for {
		n, err := unix.Read(int(fd), buffer[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && n > 0:
			call.n, call.buffer = n, buffer
			return true
		case err == nil:
			call.err = io.EOF
		case err == unix.EAGAIN && call.wait:
			readBuffers.Put(buffer)
			return false
		case err == unix.EAGAIN:
			call.err = errNothing
		default:
			call.err = os.NewSyscallError("read", err)
		}
		readBuffers.Put(buffer)
		return true
	}
}
