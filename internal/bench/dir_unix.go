//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package bench

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock locks a file until all processes that have it open have closed it, and reports whether it did.
func lock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// openLock opens what is there, if it is no link.
func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// isOwn reports whether this user made a folder. Other users share the one for temporary files.
func isOwn(info fs.FileInfo) bool {
	made, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(made.Uid) == os.Getuid()
}
