//go:build !(darwin || freebsd || linux)

package relay

import "errors"

// freeSpace is not known on this system.
func freeSpace(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }
