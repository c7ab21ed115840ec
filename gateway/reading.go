package gateway

import (
	"net"
	"runtime"
	"sync"
)

// reader takes what comes over a connection.
type reader interface {
	// feed takes the next bytes, which it may change and does not keep.
	feed(p []byte) error
	// detach is called once, when the connection has ended, by the goroutine that reads.
	detach(err error)
}

// smallRead is what an idle connection holds for its next read, where a goroutine waits
// in it.
const smallRead = 512

// turnBytes is after how many bytes a connection lets others go on. It is always ready to be
// read while its peer floods it, and nothing else would end its turn for 10 ms. A session
// counts what of these is STOMP, and pings and empty frames are not.
const turnBytes = 8 << 10

// turn counts the bytes that were read since others last had their turn.
type turn struct{ bytes int }

// read notes n more bytes, and lets others go on where it is their turn.
func (t *turn) read(n int) {
	if t.bytes += n; t.bytes >= turnBytes {
		t.bytes = 0
		runtime.Gosched()
	}
}

// serve has a reader take what comes, until the connection ends or the reader has an
// error. It returns at once; conns waits for the end.
func (c *conn) serve(conns *connTracker, r reader) {
	conns.begin()
	if c.reading.start(c, conns, r) {
		return
	}
	go func() {
		defer conns.end()
		r.detach(readAll(c.Conn, r))
	}()
}

// readAll reads until the connection ends, and returns why it did.
func readAll(nc net.Conn, r reader) error {
	small := make([]byte, smallRead)
	var t turn
	for {
		n, err := nc.Read(small)
		if n > 0 {
			if wrong := r.feed(small[:n]); wrong != nil {
				return wrong
			}
			t.read(n)
		}
		if err == nil && n == smallRead {
			err = readBurst(nc, r, &t)
		}
		if err != nil {
			return err
		}
	}
}

// readBurst reads with a large buffer while there is more than a small one holds.
func readBurst(nc net.Conn, r reader, t *turn) error {
	buffer := readBuffers.Get().(*[16 << 10]byte)
	defer readBuffers.Put(buffer)
	for {
		n, err := nc.Read(buffer[:])
		if n > 0 {
			if wrong := r.feed(buffer[:n]); wrong != nil {
				return wrong
			}
			t.read(n)
		}
		if err != nil || n < smallRead {
			return err
		}
	}
}

var readBuffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}
