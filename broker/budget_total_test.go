package broker

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllKindsOfMemoryOfAUserAreBoundedTogether, so that many attacks of one user at once take no
// more than some.
func TestAllKindsOfMemoryOfAUserAreBoundedTogether(t *testing.T) {
	t.Parallel()
	m := newMemory(&Quotas{
		Waiting: ByteLimits{User: 100}, Transactions: ByteLimits{User: 100}, Subscriptions: ByteLimits{User: 100}, Unacked: ByteLimits{User: 100}, Incoming: ByteLimits{User: 100},
		Dedup: ByteLimits{User: 100}, MemoryQueues: ByteLimits{User: 100}, Queues: ByteLimits{User: 100}, Histories: ByteLimits{User: 100}, Outboxes: ByteLimits{User: 100},
		Memory: ByteLimits{User: 150},
	})
	require.Nil(t, m.waiting.take("ann", 100))
	require.Nil(t, m.dedup.take("ann", 50))
	for _, kind := range m.all() {
		if kind == m.waiting {
			continue
		}
		err := kind.take("ann", 1)
		require.NotNil(t, err, kind.name)
		require.Equal(t, kind.code, err.Code)
		require.Equal(t, "all that this node keeps for you may take 150 bytes; try again later, or raise limits.user_memory_bytes", err.Message)
		require.Positive(t, err.RetryAfter())
		require.False(t, kind.over("ann"), "what is there is not over")
	}
	require.EqualValues(t, 50, m.dedup.node.Load(), "what is refused is not counted")
	m.unacked.force("ann", 1) // is there whatever the limits say
	require.True(t, m.outboxes.over("ann"))
	m.unacked.give("ann", 1)
	require.Nil(t, m.dedup.take("bob", 100), "others have their own")

	m.waiting.give("ann", 100)
	require.Nil(t, m.outboxes.take("ann", 100), "what one kind gives back another has")
	counts := make(map[string]int64)
	m.addCounts(counts)
	require.EqualValues(t, len(m.all()), counts["user_memory_bytes"])
	require.NotContains(t, m.bytes(), "memory", "the kinds add up to it")
}

func TestAllUsersTogetherAreBounded(t *testing.T) {
	t.Parallel()
	m := newMemory(&Quotas{Memory: ByteLimits{Node: 400}})
	err := m.dedup.take("ann", 101)
	require.Equal(t, "all that this node keeps for you may take 100 bytes; try again later, or raise limits.user_memory_bytes", err.Message)
	for _, user := range []string{"ann", "bob", "eve"} {
		require.Nil(t, m.dedup.take(user, 100), user)
	}
	m.histories.force(anyUser, 50)
	require.Nil(t, m.queues.take("joe", 50))
	err = m.queues.take("joe", 1)
	require.Equal(t, "all that this node keeps for its users may take 400 bytes; try again later, or raise limits.node_memory_share", err.Message)
	counts := make(map[string]int64)
	m.addCounts(counts)
	require.Equal(t, map[string]int64{"user_memory_bytes": 1, "node_memory_share": 1}, counts)
}

// TestTheTotalLeavesEachKindItsLimit: a limit that was raised is reached, and no limit is none.
func TestTheTotalLeavesEachKindItsLimit(t *testing.T) {
	t.Parallel()
	q := Quotas{Histories: ByteLimits{User: 1 << 30}}.WithDefaults()
	m := newMemory(&q)
	require.Nil(t, m.histories.take("ann", 1<<30))
	require.NotNil(t, m.queues.take("ann", 1))
	q.Histories.User = -1
	m.setLimits(&q)
	require.Nil(t, m.queues.take("ann", 1))
	q.Histories.User, q.Memory.User = 1<<20, -1
	m.setLimits(&q)
	require.Nil(t, m.queues.take("ann", 1))
}

// TestTheTotalIsTheSumOfItsKinds after anything.
func TestTheTotalIsTheSumOfItsKinds(t *testing.T) {
	t.Parallel()
	limits := ByteLimits{User: 1000, Node: 2000}
	m := newMemory(&Quotas{Waiting: limits, Transactions: limits, Subscriptions: limits, Unacked: limits, Incoming: limits, Dedup: limits, MemoryQueues: limits, Queues: limits, Histories: limits, Outboxes: limits, Memory: ByteLimits{User: 2500, Node: 12000}})
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		kind, user, n := m.all()[random.IntN(10)], strings.Repeat("u", random.IntN(5)), random.IntN(400)
		switch random.IntN(10) {
		case 0:
			kind.force(user, n)
		case 1:
			kind.scale(random.Float64())
		case 2, 3, 4:
			kind.give(user, n)
		case 5:
			_ = kind.takeTimes(user, n, 2)
		default:
			_ = kind.take(user, n)
		}
	}
	sum, users := int64(0), make(map[string]int64)
	for _, kind := range m.all() {
		sum += kind.node.Load()
		for i := range kind.shards {
			for user, n := range kind.shards[i].users {
				users[user] += n
			}
		}
	}
	require.EqualValues(t, sum, m.total.sum.node.Load())
	of := make(map[string]int64)
	for i := range m.total.sum.shards {
		for user, n := range m.total.sum.shards[i].users {
			of[user] += n
		}
	}
	for user, n := range users {
		if n == 0 {
			delete(users, user)
		}
	}
	require.Equal(t, users, of)
	require.NotZero(t, sum)
}
