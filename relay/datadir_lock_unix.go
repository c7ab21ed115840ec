//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package relay

import (
	"errors"
	"os"
	"syscall"
)

// lockExclusively locks a file until it is closed.
func lockExclusively(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// lockFolder locks a folder itself, until what it returns is closed. A folder is not removed to
// get rid of a lock, and it is the same one by whatever name. It returns nil where the
// file system cannot lock folders, as over NFS.
func lockFolder(path string) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := lockExclusively(folder); err != nil {
		_ = folder.Close()
		if errors.Is(err, errLocked) {
			return nil, errLocked
		}
		return nil, nil
	}
	return folder, nil
}
