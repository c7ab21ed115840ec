package relay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// dataDir is the folder of an embedded server, which belongs to one process at a time.
type dataDir struct {
	path string
	lock *os.File
	// folder locks what NATS keeps, where the system can lock a folder: the file may have been
	// removed, or several data directories lead to one folder.
	folder *os.File
	// started is when this process took the folder.
	started time.Time
	unclean bool // the last process that had it did not end well
	// rebooted says that the machine went down since, as far as that is known: what was
	// not synced may be lost.
	rebooted bool

	// crashed is when the last process began that followed a bad end, in nanoseconds
	// since 1970, or 0. JetStream may not know of deliveries before.
	crashed atomic.Int64
}

// Files of a data directory, next to what NATS keeps.
const (
	lockFile    = "lock"
	runningFile = "running"
	crashedFile = "crashed"
	nodeFile    = "node" // the name in a cluster of the server whose folder it is
)

// errLocked says that another process holds a lock.
var errLocked = errors.New("locked")

// openDataDir takes a folder for this process, before anything in it is opened. The
// kernel lets go of it when the process ends, however that comes about.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(filepath.Join(path, "nats"), 0o700); err != nil {
		return nil, fmt.Errorf("relay: the data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("relay: the data directory: %w", err)
	}
	d := &dataDir{path: path, lock: lock, started: time.Now()}
	if err := d.take(); err != nil {
		defer d.release()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("relay: the data directory %s is in use by %s; two processes on one would destroy what is in it", path, holderOf(lock))
		}
		return nil, fmt.Errorf("relay: the data directory %s cannot be locked: %w", path, err)
	}
	if err := d.begin(); err != nil {
		d.release()
		return nil, fmt.Errorf("relay: the data directory: %w", err)
	}
	return d, nil
}

func (d *dataDir) take() (err error) {
	if err = lockExclusively(d.lock); err != nil {
		return err
	}
	d.folder, err = lockFolder(filepath.Join(d.path, "nats"))
	return err
}

// release lets another process take the folder.
func (d *dataDir) release() {
	if d.folder != nil {
		_ = d.folder.Close()
	}
	_ = d.lock.Close()
}

// DataDirHolder returns which process uses the data directory of an embedded server, or "" if
// none does. It does not change the directory.
func DataDirHolder(path string) (string, error) {
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	err = lockExclusively(lock)
	if errors.Is(err, errLocked) {
		return holderOf(lock), nil
	}
	return "", err
}

// holderOf says who wrote a lock file.
func holderOf(lock *os.File) string {
	text, err := io.ReadAll(io.LimitReader(lock, 1<<10))
	if err != nil || len(text) == 0 {
		return "another process"
	}
	return string(text)
}

// begin leaves a file that only a good end removes. Where it is found, messages may
// have been delivered of which JetStream had not noted it yet. When that was stays
// known for good, since what was not noted is delivered at any later time.
func (d *dataDir) begin() error {
	if err := d.checkFormat(); err != nil {
		return err
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("process %d on host %s since %s", os.Getpid(), host, d.started.UTC().Format(time.RFC3339))
	if err := d.lock.Truncate(0); err != nil {
		return err
	}
	_, _ = d.lock.WriteAt([]byte(text), 0) // it is for people; a full disk does not keep us from starting
	if text, err := os.ReadFile(d.file(crashedFile)); err == nil {
		if when, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
			d.crashed.Store(when.UnixNano())
		}
	}
	if _, err := os.Stat(d.file(runningFile)); err == nil {
		d.unclean = true
		d.rebooted = d.bootedSince()
		if err := d.noteCrash(d.started); err != nil {
			return err
		}
	}
	return os.WriteFile(d.file(runningFile), []byte(bootID()), 0o600)
}

// bootedSince reports whether the machine was started since the last process wrote which
// start it ran in.
func (d *dataDir) bootedSince() bool {
	before, err := os.ReadFile(d.file(runningFile))
	now := bootID()
	return err == nil && len(before) > 0 && now != "" && string(before) != now
}

// bootID names this start of the machine, or is "" where that cannot be known.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// noteCrash notes that JetStream may not know of deliveries before a time.
func (d *dataDir) noteCrash(at time.Time) error {
	d.crashed.Store(at.UnixNano())
	return os.WriteFile(d.file(crashedFile), []byte(at.UTC().Format(time.RFC3339Nano)), 0o600)
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, "nats", name) }

// close lets go of the folder. A good end is one after which JetStream has written all,
// and what a bad end before it left is dealt with.
func (d *dataDir) close(good bool) {
	if good {
		_ = os.Remove(d.file(runningFile)) // then what it says is true
	}
	_ = d.lock.Truncate(0)
	d.release()
}
