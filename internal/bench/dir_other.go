//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package bench

import (
	"io/fs"
	"os"
)

// lock locks nothing: such a lock ends with its process on Unix alone.
func lock(*os.File) (bool, error) { return false, nil }

func openLock(path string) (*os.File, error) { return os.Open(path) }

func isOwn(fs.FileInfo) bool { return false }
