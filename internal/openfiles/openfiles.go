// Package openfiles knows how many connections the limit of open files leaves room for.
package openfiles

import "math"

const (
	// share of the limit is kept for what is not a connection of a client: JetStream's
	// files, routes to other nodes, webhooks; at least fewest, and at most most.
	share  = 8
	fewest = 256
	most   = 10_000
)

// Reserve is how many descriptors of a limit are not for clients.
func Reserve(limit uint64) uint64 {
	return min(max(limit/share, min(fewest, limit/2)), most)
}

// Connections is how many connections of clients a limit leaves room for, or 0 where it is
// none.
func Connections(limit uint64) int {
	if limit == 0 || limit >= math.MaxInt32 {
		return 0
	}
	return int(limit - Reserve(limit))
}
