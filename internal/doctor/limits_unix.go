//go:build unix

package doctor

import (
	"context"
	"math"

	"github.com/stompbox/stompbox/internal/openfiles"
)

const (
	// fewFiles are few for the connections of a node.
	fewFiles      = 10_000
	nofileCommand = "set LimitNOFILE in the unit, nofile in /etc/security/limits.conf, or --ulimit nofile of the container"
)

// files checks how many connections the limit of open files allows. serve raises the
// soft limit to the hard one by itself.
func checkFiles(_ context.Context, e *examination) []Result {
	soft, hard, err := openfiles.Limit()
	if err != nil {
		return []Result{warn("open files", "", "the limit cannot be read: %v", err)}
	}
	return []Result{openFiles(soft, hard, e.c.Limits.Connections)}
}

func openFiles(soft, hard uint64, connections int) Result {
	const check = "open files"
	if hard >= math.MaxInt64 {
		return ok(check, "no limit")
	}
	room := openfiles.Connections(hard)
	if room > 0 && connections > room {
		return fail(check, nofileCommand, "the hard limit is %d, which leaves room for %d connections, and limits.connections is %d", hard, room, connections)
	}
	if hard < fewFiles {
		return warn(check, nofileCommand, "the hard limit is %d, which leaves room for %d connections", hard, room)
	}
	return ok(check, "soft limit %d, hard limit %d; room for %d connections", soft, hard, room)
}
