//go:build darwin || freebsd || linux

package relay

import "syscall"

// freeSpace returns what a program without special rights can write to a folder's file
// system, and the size of that, in bytes.
func freeSpace(path string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize)
	return uint64(max(s.Bavail, 0)) * block, s.Blocks * block, nil
}
