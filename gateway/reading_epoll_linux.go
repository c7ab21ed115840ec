package gateway

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller watches parked connections. Its one goroutine is there while any connection
// that can be parked is.
type poller struct {
	mu    sync.Mutex // guards the following
	conns []*conn    // by place; nil where a place is free
	free  []uint32
	count int
	epoll *epoll // nil while there are no connections
}

// epoll is one epoll instance of Linux, and the goroutine that waits for its events.
type epoll struct {
	file *os.File
	raw  syscall.RawConn
	done chan struct{}
}

// thePoller is the process's: a descriptor is the process's too.
var thePoller poller

// acquire gives a connection a place. It returns false where the system has no more
// epoll instances.
func (p *poller) acquire(c *conn) (*epoll, uint32, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoll == nil {
		if p.epoll = newEpoll(); p.epoll == nil {
			return nil, 0, false
		}
	}
	p.count++
	if last := len(p.free) - 1; last >= 0 {
		place := p.free[last]
		p.free = p.free[:last]
		p.conns[place] = c
		return p.epoll, place, true
	}
	p.conns = append(p.conns, c)
	return p.epoll, uint32(len(p.conns) - 1), true
}

// release takes a place back. The last one ends the poller's goroutine.
func (p *poller) release(place uint32) {
	p.mu.Lock()
	p.conns[place] = nil
	p.free = append(p.free, place)
	p.count--
	var last *epoll
	if p.count == 0 {
		last = p.epoll
		p.epoll, p.conns, p.free = nil, nil, nil
	}
	p.mu.Unlock()
	if last != nil {
		_ = last.file.Close()
		<-last.done
	}
}

// wake has the connections be read that events are for. An event can be of a place's
// connection before, which does no harm.
func (p *poller) wake(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		if place := int(events[i].Fd); place < len(p.conns) && p.conns[place] != nil {
			c := p.conns[place]
			if c.reading.state.CompareAndSwap(readingParked, readingActive) {
				go c.read(true)
			}
		}
	}
}

func newEpoll() *epoll {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's poller watches it
		_ = unix.Close(fd)
		return nil
	}
	e := &epoll{file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	if e.raw, err = e.file.SyscallConn(); err != nil {
		_ = e.file.Close()
		return nil
	}
	go e.run()
	return e
}

// run wakes connections until the file is closed.
func (e *epoll) run() {
	defer close(e.done)
	var events [256]unix.EpollEvent
	var n int
	wait := func(fd uintptr) bool {
		for {
			var err error
			if n, err = unix.EpollWait(int(fd), events[:], 0); err != unix.EINTR {
				return n > 0 || err != nil
			}
		}
	}
	for {
		n = 0
		if err := e.raw.Read(wait); err != nil || n < 0 {
			return
		}
		thePoller.wake(events[:n])
	}
}

// watch has a connection be woken once, when there is something to read or it has ended. Added
// says that this was tried before, which may have failed: the system watches so many at most
// (fs.epoll.max_user_watches).
func (e *epoll) watch(raw syscall.RawConn, place uint32, added bool) error {
	how := unix.EPOLL_CTL_ADD
	if added {
		how = unix.EPOLL_CTL_MOD
	}
	var err error
	closed := e.raw.Control(func(epoll uintptr) {
		closed := raw.Control(func(fd uintptr) {
			event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(place)}
			errno := unix.EpollCtl(int(epoll), how, int(fd), &event)
			switch errno {
			case unix.ENOENT:
				errno = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
			case unix.EEXIST:
				errno = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, int(fd), &event)
			}
			err = os.NewSyscallError("epoll_ctl", errno)
		})
		if closed != nil {
			err = closed
		}
	})
	if closed != nil {
		return closed
	}
	return err
}
