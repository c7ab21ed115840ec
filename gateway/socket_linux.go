package gateway

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is the connection of the operating system below a conn.
type socket struct {
	raw     syscall.RawConn // nil where it has no descriptor
	plain   bool            // the bytes of a session go to it as they are
	written atomic.Uint64
}

func (s *socket) init(c net.Conn, plain bool) {
	if below, ok := c.(syscall.Conn); ok {
		if raw, err := below.SyscallConn(); err == nil {
			s.raw, s.plain = raw, plain
		}
	}
}

// maxUnsent is how many bytes the kernel takes that it cannot send yet. What waits there
// cannot be dropped, replaced or counted any more.
const maxUnsent = 128 << 10

// tune has the kernel say early that it takes more, and give up a peer from which no
// confirmation comes for so long. A connection that is not TCP's has neither.
func (s *socket) tune(vanished time.Duration) {
	if s.raw == nil {
		return
	}
	tune(s.raw, vanished)
}

func tune(raw syscall.RawConn, vanished time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		if vanished > 0 {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(min(vanished.Milliseconds(), 1<<31-1)))
		}
	})
}

// progress grows while the peer's system takes bytes, which is finer than how the socket
// takes them: a writer is woken only when much of a large buffer is free.
func (s *socket) progress() uint64 {
	n := s.written.Load()
	if s.raw == nil {
		return n
	}
	_ = s.raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n += info.Bytes_acked
		}
	})
	return n
}

func (s *socket) writable() bool { return s.plain }

// write writes all of the buffers, with as few calls as can be.
func (s *socket) write(buffers [][]byte) error {
	_, err := s.writeVectors(buffers, true)
	return err
}

func (s *socket) writesNow() bool { return s.plain }

// writeNow writes what the socket takes at once.
func (s *socket) writeNow(buffers [][]byte) int {
	if !s.plain {
		return 0
	}
	n, _ := s.writeVectors(buffers, false)
	return n
}

// vectors is one write of many buffers.
type vectors struct {
	socket  *socket
	iovecs  []unix.Iovec
	buffers [][]byte // what is left
	offset  int      // in the first of them
	n       int
	wait    bool
	err     error
	step    func(fd uintptr) bool // v.write, kept so that calling it does not allocate
}

var vectorPool = sync.Pool{New: func() any {
	v := &vectors{iovecs: make([]unix.Iovec, 0, 64)}
	v.step = v.write
	return v
}}

// maxVectors is IOV_MAX of Linux.
const maxVectors = 1024

// writeVectors writes the buffers; without wait only what the socket takes at once. It
// returns how many bytes that was.
func (s *socket) writeVectors(buffers [][]byte, wait bool) (int, error) {
	v := vectorPool.Get().(*vectors)
	v.socket, v.buffers, v.offset, v.n, v.wait, v.err = s, buffers, 0, 0, wait, nil
	err := s.raw.Write(v.step)
	if err == nil {
		err = v.err
	}
	n := v.n
	v.socket, v.buffers = nil, nil
	clear(v.iovecs[:cap(v.iovecs)])
	vectorPool.Put(v)
	return n, err
}

// write is called with the socket's descriptor. It returns false to be called again when
// the socket takes more.
func (v *vectors) write(fd uintptr) (done bool) {
	for {
		v.fill()
		if len(v.iovecs) == 0 {
			return true
		}
		n, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v.iovecs[0])), uintptr(len(v.iovecs))) //nolint:gosec // the call takes their address
		switch errno {
		case 0:
			v.advance(int(n))
		case unix.EINTR:
		case unix.EAGAIN:
			return !v.wait
		default:
			v.err = os.NewSyscallError("writev", errno)
			return true
		}
	}
}

// fill makes the vectors of what is left.
func (v *vectors) fill() {
	v.iovecs = v.iovecs[:0]
	for i, b := range v.buffers {
		if i == 0 {
			b = b[v.offset:]
		}
		if len(b) == 0 {
			continue
		}
		if len(v.iovecs) == maxVectors {
			return
		}
		v.iovecs = append(v.iovecs, unix.Iovec{Base: &b[0]})
		v.iovecs[len(v.iovecs)-1].SetLen(len(b))
	}
}

func (v *vectors) advance(n int) {
	v.n += n
	v.socket.written.Add(uint64(n))
	n += v.offset
	for len(v.buffers) > 0 && n >= len(v.buffers[0]) {
		n -= len(v.buffers[0])
		v.buffers = v.buffers[1:]
	}
	v.offset = n
}
