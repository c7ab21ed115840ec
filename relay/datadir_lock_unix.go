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
