package broker

import "sync/atomic"

const (
	userMemoryBytes = "user_memory_bytes"
	nodeMemoryShare = "node_memory_share"
	// userPart is which part of what all users may have one user may have at most.
	userPart = 4
)

// total bounds what all budgets together have of a user, and of all users. Each of them takes
// from it what it counts itself, so an attack in many ways gets no more than one in a few. It is
// safe for concurrent use. A nil total has no limits.
type total struct{ sum *budget }

func newTotal() *total { return &total{newBudget("memory_bytes", "", CodeMemoryLimit, ByteLimits{})} }

// setLimits puts limits in force. That of a user is at least the highest of the kinds, which
// would else not be reached, and none where a kind has none; but one user never has more than a
// part of what all have.
func (t *total) setLimits(limits ByteLimits, kinds []*budget) {
	for _, kind := range kinds {
		of := int(kind.userLimit.Load())
		if of == 0 || limits.User <= 0 {
			limits.User = 0
			break
		}
		limits.User = max(limits.User, of)
	}
	if part := limits.Node / userPart; part > 0 && (limits.User == 0 || part < limits.User) {
		limits.User = part
	}
	t.sum.setLimits(limits)
}

// take counts n bytes of a user, or says which limit they would be over, with the code of the
// kind. The limits are so many times as high.
func (t *total) take(code Code, user string, n, times int) *Error {
	if t == nil {
		return nil
	}
	refused := t.sum.takeKind(user, n, times)
	if refused == nil {
		return nil
	}
	var e *Error
	if refused.limit == limitName("node", t.sum.name) {
		e = errorf(code, "all that this node keeps for its users may take %d bytes; try again later, or raise limits.%s", t.sum.nodeLimit.Load(), nodeMemoryShare)
		e.limit = nodeMemoryShare
	} else {
		e = errorf(code, "all that this node keeps for you may take %d bytes; try again later, or raise limits.%s", t.sum.userLimit.Load(), userMemoryBytes)
		e.limit = userMemoryBytes
	}
	e.retryAfter, e.counted = retryAfter, true
	return e
}

func (t *total) force(user string, n int) {
	if t != nil {
		t.sum.force(user, n)
	}
}

func (t *total) give(user string, n int) {
	if t != nil {
		t.sum.give(user, n)
	}
}

func (t *total) over(user string) bool { return t != nil && t.sum.over(user) }

// addCounts adds how often the limits were reached, by name.
func (t *total) addCounts(counts map[string]int64) {
	for name, hits := range map[string]*atomic.Int64{userMemoryBytes: &t.sum.userHits, nodeMemoryShare: &t.sum.nodeHits} {
		if n := hits.Load(); n > 0 {
			counts[name] += n
		}
	}
}
