package relay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// diskEvery is how often the free space of the disk is looked at.
	diskEvery = 250 * time.Millisecond
	// maxReserve bounds the space that is kept, of which small disks keep a sixteenth.
	maxReserve = 64 << 20
	// restartEvery is how often JetStream is started again at most.
	restartEvery = 2 * time.Second
	// growEvery is how often it is looked whether JetStream may keep more than before.
	growEvery = 10 * time.Second
)

// errDiskFull says that the disk of the data directory has no room left.
var errDiskFull = fmt.Errorf("%w: the disk of the data directory is full", driver.ErrUnavailable)

// disk looks after the space of an embedded server's data directory. When others fill
// it, writes are refused before JetStream runs into an error, after which it would write
// nothing any more. For the case that it does, a file holds space in reserve: with that,
// queues can be consumed, since to consume writes something too.
type disk struct {
	link    *link
	data    *dataDir
	failed  <-chan struct{} // JetStream reports that it could not write
	full    atomic.Bool     // writes are refused
	free    func(path string) (free, size uint64, err error)
	reserve int64 // bytes; of the watch alone, as what follows
	held    bool  // the reserve is on the disk
	broken  bool  // JetStream has to be started again
	retry   time.Time
	grow    time.Time // when to look again whether JetStream may keep more
	once    sync.Once
}

func newDisk(l *link, failed <-chan struct{}) *disk {
	d := &disk{link: l, data: l.server.data, failed: failed, free: l.server.free}
	_, size, err := d.free(d.data.path)
	if d.reserve = maxReserve; err == nil {
		d.reserve = min(d.reserve, int64(size/16))
	}
	return d
}

func (d *disk) file() string { return filepath.Join(d.data.path, "nats", "reserve") }

// check looks at the disk once.
func (d *disk) check(now time.Time) {
	select {
	case <-d.failed:
		d.broken = true
	default:
	}
	free, _, err := d.free(d.data.path)
	if err != nil {
		d.once.Do(func() { d.link.log.Warn("the free space of the data directory cannot be found out", "error", err) })
		return
	}
	low := int64(free) < d.reserve
	if low || d.broken {
		d.release()
	}
	if d.broken && !now.Before(d.retry) {
		d.retry = now.Add(restartEvery)
		d.restart(now)
	}
	if !low && !d.broken && (d.full.Load() || now.After(d.grow)) {
		d.grow = now.Add(growEvery)
		if err := d.link.server.grow(); err != nil {
			d.link.log.Warn("the limit of what JetStream keeps could not be raised", "error", err)
		}
	}
	switch wasFull := d.full.Load(); {
	case low && !wasFull:
		d.full.Store(true)
		d.link.log.Error("the disk of the data directory is full; queues and histories refuse messages until there is room, and can be consumed", "free", free)
	case !low && wasFull && int64(free) >= 2*d.reserve && !d.broken:
		d.full.Store(false)
		d.link.log.Info("the disk of the data directory has room again", "free", free)
	}
	if !d.full.Load() && !d.held && !d.broken && int64(free) >= 3*d.reserve {
		d.hold()
	}
}

// hold puts the reserve on the disk. It writes zeros, as a file with holes takes no space.
func (d *disk) hold() {
	f, err := os.OpenFile(d.file(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	zeros := make([]byte, 1<<20)
	for left := d.reserve; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(d.file())
		return
	}
	d.held = true
}

func (d *disk) release() {
	d.held = false
	_ = os.Remove(d.file())
}

// restart starts JetStream again after a failed write.
func (d *disk) restart(now time.Time) {
	err := d.data.noteCrash(now) // what it had not written is as after a kill
	if again := d.link.server.restartJetStream(); again != nil {
		d.link.log.Warn("JetStream could not be started again after a failed write; it is tried again", "error", again)
		return
	}
	for drained := false; !drained; { // what the old one said last
		select {
		case <-d.failed:
		default:
			drained = true
		}
	}
	d.broken = false
	d.link.log.Warn("JetStream was started again after a failed write", "error", err)
	d.link.answersLost()
	d.link.mayHaveMissed()
}
