//go:build unix

package openfiles

import "golang.org/x/sys/unix"

// Limit returns the soft limit of open files and the hard one. Where there is none they are
// greater than any number of files. The runtime of Go raises the soft one at the start.
func Limit() (soft, hard uint64, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, err
	}
	return uint64(limit.Cur), uint64(limit.Max), nil
}
