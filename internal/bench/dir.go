package bench

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

const (
	dirPrefix = "stompbox-bench"
	dirLock   = "bench.lock"
)

// Dir is a temporary folder of a benchmark.
type Dir struct {
	Path string
	// Lock is held while the folder is in use, by this process and those that inherit it. It is nil
	// where there is no lock that ends with its processes.
	Lock *os.File
}

// NewDir makes a folder, and removes those that benchmarks left when they were killed.
func NewDir() (*Dir, error) {
	removeLeftDirs(os.TempDir())
	path, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path}
	if d.Lock, err = newLock(path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return d, nil
}

// Remove removes the folder.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.Path)
	if d.Lock != nil {
		err = errors.Join(err, d.Lock.Close())
	}
	return err
}

// newLock makes the file of a lock, which is locked before it has its name.
func newLock(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, dirLock)
	if err != nil {
		return nil, err
	}
	locked, err := lock(f)
	if err == nil && locked {
		err = os.Rename(f.Name(), filepath.Join(dir, dirLock))
	}
	if err != nil || !locked {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeLeftDirs removes the folders of this user whose lock nothing holds. What goes wrong with
// one is for the next time.
func removeLeftDirs(temp string) {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return
	}
	for _, entry := range entries {
		path := filepath.Join(temp, entry.Name())
		if info, err := entry.Info(); err != nil || !strings.HasPrefix(entry.Name(), dirPrefix) || !info.IsDir() || !isOwn(info) {
			continue
		}
		f, err := openLock(filepath.Join(path, dirLock))
		if err != nil {
			continue
		}
		if locked, err := lock(f); err == nil && locked {
			_ = os.RemoveAll(path)
		}
		_ = f.Close()
	}
}
