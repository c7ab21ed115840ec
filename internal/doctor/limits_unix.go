//go:build unix

package doctor

import (
	"context"
	"math"

	"golang.org/x/sys/unix"
)

// Descriptors that a node needs for other things than connections, and how many
// connections are few.
const (
	otherFiles    = 200
	fewFiles      = 10_000
	nofileCommand = "set LimitNOFILE in the unit, nofile in /etc/security/limits.conf, or --ulimit nofile of the container"
)

// files checks how many connections the limit of open files allows. serve raises the
// soft limit to the hard one by itself.
func (e *examination) files(context.Context) []Result {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return []Result{warn("open files", "", "the limit cannot be read: %v", err)}
	}
	return []Result{openFiles(uint64(limit.Cur), uint64(limit.Max), e.c.Limits.Connections)}
}

func openFiles(soft, hard uint64, connections int) Result {
	const check = "open files"
	if hard >= math.MaxInt64 {
		return ok(check, "no limit")
	}
	if needed := uint64(max(connections, 0)) + otherFiles; connections > 0 && hard < needed {
		return fail(check, nofileCommand, "the hard limit is %d, but limits.connections %d needs %d", hard, connections, needed)
	}
	if hard < fewFiles {
		return warn(check, nofileCommand, "the hard limit is %d, which is the most connections there can be", hard)
	}
	return ok(check, "soft limit %d, hard limit %d; each connection takes one", soft, hard)
}
